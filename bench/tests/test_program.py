"""What cannot be measured is said, with what to do, and nothing is written."""

from pathlib import Path

import pytest

from bench import commands
from bench.__main__ import _parser, main, plan
from bench.rows import GROUPS, ROWS


def test_a_missing_program_is_named_with_its_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "find", lambda _: None)

    assert main(["--only", "size", "--peer", "buildah"]) == 2

    said = capsys.readouterr()
    assert "apt-get install --no-install-recommends bubblewrap buildah git mmdebstrap" in said.err
    assert said.out == ""


@pytest.mark.parametrize(
    "words",
    [
        ["--rounds", "1"],
        ["--only", "nothing"],
        ["--bazelrc", "file"],
        ["--write", "--quick"],
        ["--write", "--only", "size"],
    ],
)
def test_arguments_that_do_not_serve_are_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit) as found:
        main(words)

    assert found.value.code == 2


def test_a_folder_that_is_no_rules_oci_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "find", str)

    assert main(["--rules-oci", str(tmp_path)]) == 2

    assert f"{tmp_path}: expected a checkout of rules_oci" in capsys.readouterr().err


def test_a_quick_run_takes_every_row_and_one_peer() -> None:
    quick = plan(_parser().parse_args(["--quick"]))

    assert quick.groups == GROUPS
    assert quick.peers == ("buildah",)
    assert quick.rounds == 2


def test_no_two_rows_have_one_key() -> None:
    assert len({row.key for row in ROWS}) == len(ROWS)
