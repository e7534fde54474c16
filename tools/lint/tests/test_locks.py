"""Each lock of the module file is one that an update writes, and that a bundle takes."""

import ast
import os
import re
from pathlib import Path

import pytest

SOURCES = Path(os.environ["SOURCES"]).parent
MODULE = (SOURCES / "MODULE.bazel.starlark").read_text()
BUNDLE = (SOURCES / "tools/BUILD.bazel.starlark").read_text()
UPDATES = {
    "requirements_lock.txt": "tools/requirements/update.py",
    "lock.json": "rules/debian/update.py",
}
# docs/offline.md: what only //tests/remote needs, which is no part of //...
LEFT_OUT = {"//tests/remote:requirements_lock.txt", "//tests/remote:lock.json"}


def locks(text: str) -> set[str]:
    """The labels of locks in a file of Starlark."""
    return set(re.findall(r'"(//[\w/]*:(?:requirements_lock\.txt|lock\.json))"', text))


def folders(module: str) -> set[str]:
    """What a module's FOLDERS are."""
    for statement in ast.parse((SOURCES / module).read_text()).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "FOLDERS":
            return set(ast.literal_eval(statement.value))
    raise AssertionError(f"{module} has no FOLDERS")


def test_a_bundle_takes_what_each_lock_names() -> None:
    assert locks(MODULE) - LEFT_OUT == locks(BUNDLE), "_LOCKS in tools/BUILD.bazel"


@pytest.mark.parametrize("name", UPDATES)
def test_an_update_writes_each_lock(name: str) -> None:
    written = {f"//{folder}:{name}".replace("//.:", "//:") for folder in folders(UPDATES[name])}
    assert {one for one in locks(MODULE) if one.endswith(f":{name}")} == written, (
        f"FOLDERS in {UPDATES[name]}"
    )
