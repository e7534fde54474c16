"""Runs pytest in namespaces of its own, so that nothing a container test does outlives it."""

import os
import sys

from tests.container import cgroups, namespaces
from tests.container.namespaces import Identity
from tests.container.needs import NeedError
from tools.pytest import runner

IDENTITY = "CONTAINER_TEST_IDENTITY"


def main() -> int:
    """Returns pytest's exit code, 1 where the machine lacks what containers need."""

    def run(identity: Identity) -> int:
        os.environ[IDENTITY] = identity.dumps()
        return runner.main(sys.argv[1:])

    try:
        if cgroups.ROOT.is_dir():
            cgroups.sweep()
        return namespaces.inside(run)
    except NeedError as error:
        print(f"This test cannot run here: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
