"""What tests import is compiled before the virtual machine boots."""

from pathlib import Path

from tests.machine import bytecode


def test_what_the_tests_import_is_compiled(tmp_path: Path) -> None:
    test = tmp_path / "test_it.py"
    test.write_text("def test_it() -> None:\n    raise AssertionError\n")
    folder = tmp_path / "bytecode"
    folder.mkdir()

    bytecode.write(folder, [str(test)])

    names = {file.name.partition(".")[0] for file in folder.rglob("*.pyc")}
    assert {"guest", "runner", "python", "test_it"} <= names
    # They are collected, and not run.
    assert not list(tmp_path.rglob("test.xml"))


def test_a_test_that_cannot_be_imported_is_not_its_affair(tmp_path: Path) -> None:
    bytecode.write(tmp_path, ["no/such/test.py"])
