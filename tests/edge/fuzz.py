"""Looks for input that the service does not deal with as it should.

    tools/bazel test //tests/edge:fuzz                      as many cases as take some seconds
    tools/bazel run //tests/edge:fuzz -- --minutes 10       new ones, as long as that
    tools/bazel run //tests/edge:fuzz -- --subject HTTP --seed 7

The search is hypothesis' with `target`: there is no wheel of Atheris for aarch64. Without --minutes
the cases are the same on every run and every machine. A finding is printed as a case that can be
put into `FINDINGS`; exit code 1.
"""

import argparse
import contextlib
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded

from tests.edge.findings import FINDINGS
from tests.edge.subjects import Service, Subject, subjects

_AT_ONCE = 200


def search(subject: Subject, seed: int, examples: int) -> tuple[Any, Exception] | None:
    """Try cases; the smallest that fails, with its error, if one does."""
    last: list[Any] = []

    @seeded(seed)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.target, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        report_multiple_bugs=False,
    )
    @given(subject.cases)
    def try_one(case: Any) -> None:
        last[:] = [case]
        subject.check(case)

    try:
        try_one()
    except Exception as error:  # noqa: BLE001  (whatever comes through is the finding)
        return last[0], error
    return None


def report(name: str, case: Any, error: Exception, seed: int | None) -> None:
    """Print a finding."""
    about = "a case of FINDINGS" if seed is None else f"seed {seed}"
    print(f"\n{name}, {about}: {type(error).__name__}: {error}")
    traceback.print_tb(error.__traceback__, limit=-2, file=sys.stdout)
    print(
        f"Mend it, and put it into FINDINGS of tests/edge/findings.py:\n\n    {name!r}: [{case!r}],"
    )


def known(name: str, subject: Subject) -> int:
    """Try what was found before; how many fail again."""
    failed = 0
    for case in FINDINGS.get(name, []):
        try:
            subject.check(case)
        except Exception as error:  # noqa: BLE001
            report(name, case, error, None)
            failed += 1
    return failed


def main(arguments: Sequence[str]) -> int:
    """Run the program; the exit code."""
    parser = argparse.ArgumentParser(
        prog="tools/bazel run //tests/edge:fuzz --", description=__doc__
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--minutes", type=float, help="how long, all subjects together")
    parser.add_argument("--subject", action="append", help="one of them; again for more")
    parser.add_argument("--seed", type=int, help="begin with this one in place of a random one")
    given_ = parser.parse_args(arguments)
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        service = Service(Path(folder))
        with contextlib.closing(service):
            all_of_them = subjects(service)
            names = given_.subject or list(all_of_them)
            if unknown := set(names) - set(all_of_them):
                parser.error(f"no subject {sorted(unknown)}; expected some of {list(all_of_them)}")
            for name in names:
                subject = all_of_them[name]
                failed += known(name, subject)
                began = time.monotonic()
                if given_.minutes is None:
                    budget, seed, size = 0.0, given_.seed or 0, subject.examples
                else:
                    budget = given_.minutes * 60 / len(names)
                    seed = (
                        random.SystemRandom().getrandbits(32)
                        if given_.seed is None
                        else given_.seed
                    )
                    size = _AT_ONCE
                rounds = 0
                while True:
                    found = search(subject, seed + rounds, size)
                    rounds += 1
                    if found is not None:
                        report(name, *found, seed + rounds - 1)
                        failed += 1
                        break
                    if time.monotonic() - began >= budget:
                        break
                seconds = time.monotonic() - began
                print(f"{name}: {rounds * size} cases at most, {seconds:.1f} s", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
