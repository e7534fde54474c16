"""What a machine lacks for a test is named, with the remedy."""

from pathlib import Path

import pytest

from tests.container import needs
from tests.container.needs import NeedError


def test_finds_programs_that_path_does_not_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "runc"
    program.touch(0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(needs, "_FOLDERS", (str(tmp_path),))

    assert needs.program("runc", "runc") == str(program)


def test_a_missing_program_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(needs, "_FOLDERS", ())

    with pytest.raises(NeedError, match=r"runc is missing: .* apt-get install runc"):
        needs.program("runc", "runc")
