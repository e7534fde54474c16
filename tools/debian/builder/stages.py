"""The two stages of a builder root: what builds call, and then what tests alone call.

A root is made for the command that asks first. One of the first stage is completed in its place
when a test is asked for: a running Bazel server sees the new files, and no old one changes.
"""

from pathlib import Path

# Which packages went in, of either stage. The latter is written when all of its files are there.
VERSIONS = Path("builder-root.versions")
TESTS = Path("builder-root.tests")

_TESTING = frozenset({"coverage", "test"})


def tests(command: str | None) -> bool:
    """Whether one of Bazel's commands runs tests."""
    return command in _TESTING


def reached(root: Path, *, tests: bool) -> bool:
    """Whether a root is there, with what tests call if `tests`."""
    return (root / TESTS).is_file() if tests else root.is_dir()
