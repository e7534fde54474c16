"""The Dockerfile builds the service that //image has, to be run in the same way."""

import json
import os
import re
from pathlib import Path

DOCKERFILE = Path(os.environ["DOCKERFILE"]).read_text()
SERVICE = json.loads(Path(os.environ["SERVICE"]).read_text())


def test_it_runs_the_services_module_as_its_user_on_its_port() -> None:
    module = ", ".join(f'"{word}"' for word in ("-m", SERVICE["module"]))
    assert module in DOCKERFILE
    assert f"USER {SERVICE['uid']}:{SERVICE['gid']}\n" in DOCKERFILE
    assert f"EXPOSE {SERVICE['port']}\n" in DOCKERFILE
    assert f"COPY {SERVICE['module'].partition('.')[0]} /app/" in DOCKERFILE


def test_it_sets_what_the_image_sets_but_for_its_places() -> None:
    found = re.search(r"^ENV (.*)$", DOCKERFILE, re.MULTILINE)
    assert found is not None
    variables = dict(word.split("=", 1) for word in found[1].split())

    # Where interpreter, sources and certificates are is the base image's and venv's business.
    places = {"PATH", "PYTHONPATH", "SSL_CERT_FILE"}
    assert variables == {
        name: value for name, value in SERVICE["environment"].items() if name not in places
    }


def test_the_service_is_copied_after_the_wheels_so_that_a_change_leaves_them_cached() -> None:
    last = DOCKERFILE.rpartition("\nFROM ")[2]

    assert last.index("COPY --from=packages") < last.index("COPY --from=app")
