"""Runs pytest as a Bazel test (Bazel's "Test encyclopedia", which names the variables below)."""

import gc
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest


class Shard:
    """The part of the tests that one of several equal processes runs."""

    def __init__(self, index: int, total: int) -> None:
        self.index = index
        self.total = total
        self.collected = 0

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Keeps every `total`-th test."""
        self.collected = len(items)
        others = [item for number, item in enumerate(items) if number % self.total != self.index]
        items[:] = items[self.index :: self.total]
        config.hook.pytest_deselected(items=others)


class Count:
    """How many tests ran; those that were skipped did not."""

    def __init__(self) -> None:
        self.ran = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Counts a test whose body was entered; an expected failure's was."""
        self.ran += report.when == "call" and not (
            report.skipped and not hasattr(report, "wasxfail")
        )


class Garbage:
    """Has only what the tests make looked through for garbage: what they import stays to the end.

    Looking through that again and again took a fifth of the interpreters' time.
    """

    # Of objects; a test is over before it made many times as many.
    _THRESHOLD = 20_000

    def __init__(self) -> None:
        gc.disable()

    def pytest_collection_finish(self) -> None:
        """All modules are imported."""
        gc.freeze()
        gc.set_threshold(self._THRESHOLD)
        gc.enable()


def options(environment: Mapping[str, str], folder: Path) -> list[str]:
    """What pytest is told besides the files: nothing is written outside of the test's own folder.

    `folder` is the root of the repository in the runfiles.
    """
    chosen = [
        f"--rootdir={folder}",
        f"--config-file={folder / 'pyproject.toml'}",
        "--import-mode=importlib",
        *("-p", "no:cacheprovider"),
        *("-o", "consider_namespace_packages=true"),
    ]
    if scratch := environment.get("TEST_TMPDIR"):
        chosen.append(f"--basetemp={scratch}/pytest")
    if report := environment.get("XML_OUTPUT_FILE"):
        chosen.append(f"--junit-xml={report}")
    if wanted := environment.get("TESTBRIDGE_TEST_ONLY"):
        chosen += ["-k", wanted]
    return chosen


def shard(environment: Mapping[str, str]) -> Shard:
    """This process's part of the tests; all of them where Bazel asks for no shards."""
    total = int(environment.get("TEST_TOTAL_SHARDS") or 1)
    if (status := environment.get("TEST_SHARD_STATUS_FILE")) and total > 1:
        Path(status).touch()
    return Shard(int(environment.get("TEST_SHARD_INDEX") or 0), total)


def main(arguments: list[str]) -> int:
    """Runs pytest; returns its exit code, and 5 (no test ran) also where all were skipped."""
    if scratch := os.environ.get("TEST_TMPDIR"):
        os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", f"{scratch}/hypothesis")
        # Else each client of httpx parses every authority of the web: 11 ms, and emulated 200 ms.
        authorities = Path(scratch, "authorities")
        authorities.mkdir(exist_ok=True)
        os.environ.setdefault("SSL_CERT_DIR", str(authorities))
    part, count = shard(os.environ), Count()
    code = int(
        pytest.main(
            [*options(os.environ, Path.cwd()), *arguments], plugins=[part, count, Garbage()]
        )
    )
    if code not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED} or count.ran:
        return code
    if part.total > 1 and part.collected:
        return int(pytest.ExitCode.OK)
    print("no test ran: none matched, or all were skipped", file=sys.stderr)
    return int(pytest.ExitCode.NO_TESTS_COLLECTED)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
