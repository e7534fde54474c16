"""The last line of continuous integration counts what Bazel says of each test target."""

import json
import runpy
from pathlib import Path

import pytest

# The folder's name is none that Python could import from.
SUMMARY = runpy.run_path(".ci/summary.py")
statuses, main = SUMMARY["statuses"], SUMMARY["main"]


def configured(label: str, kind: str = "medium") -> str:
    event = {"id": {"targetConfigured": {"label": label}}, "configured": {"testSize": kind}}
    return json.dumps(event)


def finished(label: str, status: str) -> str:
    event = {"id": {"testSummary": {"label": label}}, "testSummary": {"overallStatus": status}}
    return json.dumps(event)


def test_a_target_has_the_status_of_its_summary() -> None:
    events = [configured("//a"), configured("//b"), finished("//a", "PASSED")]

    assert statuses([*events, finished("//b", "FAILED")]) == {
        "//a": "PASSED",
        "//b": "FAILED",
    }


def test_a_target_that_was_never_run_is_not_forgotten() -> None:
    assert statuses([configured("//a")]) == {"//a": "NO_STATUS"}


def test_a_target_that_is_no_test_is_left_out() -> None:
    library = {"id": {"targetConfigured": {"label": "//a"}}, "configured": {"targetKind": "x"}}

    assert statuses([json.dumps(library), json.dumps({"id": {"progress": {}}})]) == {}


@pytest.mark.parametrize(
    ("events", "code", "said"),
    [
        ([finished("//a", "PASSED")], 0, "1 passed, 0 failed\n"),
        (
            [finished("//b", "TIMEOUT"), finished("//a", "FLAKY"), finished("//c", "PASSED")],
            1,
            "FLAKY: //a\nTIMEOUT: //b\n1 passed, 2 failed\n",
        ),
        ([configured("//a")], 1, "NO_STATUS: //a\n0 passed, 1 failed\n"),
        ([], 1, "0 passed, 0 failed\n"),
    ],
)
def test_only_a_run_in_which_all_passed_is_a_success(
    events: list[str],
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "events.json"
    file.write_text("".join(f"{event}\n" for event in events))
    monkeypatch.setattr("sys.argv", ["summary.py", str(file)])

    assert main() == code
    assert capsys.readouterr().out == said
