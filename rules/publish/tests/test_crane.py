"""How long a registry asks to be left alone, read from crane's log."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rules.publish import crane
from rules.publish.crane import Answers, run, seconds
from rules.publish.error import PublishError

NOW = datetime(2026, 11, 1, 12, 0, 0, tzinfo=UTC)
STAMP = "2026/11/01 12:00:00 "


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", 0),
        ("7", 7),
        ("Sun, 01 Nov 2026 12:00:30 GMT", 30),
        ("Sun, 01 Nov 2026 11:00:00 GMT", 0),
        ("soon", 1),
        ("-5", 1),
        ("", 1),
    ],
)
def test_the_header_is_a_number_or_a_date(value: str, expected: float) -> None:
    assert seconds(value, NOW) == expected


def answers(*lines: str) -> tuple[Answers, list[str]]:
    found = Answers()
    return found, [said for line in lines if (said := found.read(line, NOW))]


def test_what_is_asked_for_by_an_answer_that_refuses_is_waited_for() -> None:
    found, _ = answers(
        f"{STAMP}<-- 503 https://host/v2/ (1ms)", f"{STAMP}HTTP/1.1 503 Busy", "Retry-After: 9"
    )
    assert found.wait(0) == 9


def test_of_several_the_longest_counts() -> None:
    refused = f"{STAMP}<-- 429 https://host/v2/ (1ms)"
    found, _ = answers(refused, "retry-after: 9", refused, "Retry-After: 4")
    assert found.wait(0) == 9


def test_a_refusal_for_another_reason_is_not_repeated() -> None:
    found, _ = answers(f"{STAMP}<-- 401 https://host/v2/ (1ms)", "Retry-After: 9")
    assert found.wait(0) is None
    found, _ = answers(f"{STAMP}<-- 500 https://host/v2/ (1ms)")
    assert found.wait(0) is None


def test_too_many_requests_without_a_time_are_repeated_ever_later() -> None:
    found, _ = answers(f"{STAMP}<-- 429 https://host/v2/ (1ms)")
    assert [found.wait(attempt) for attempt in range(3)] == [1, 2, 4]


def test_of_the_log_only_what_crane_says_by_itself_is_shown() -> None:
    shown = [
        f"{STAMP}pushed blob: sha256:0",
        f"{STAMP}retrying HEAD https://host/v2/: status code 503",
        "Error: unexpected status code 401",
    ]
    _, said = answers(
        f"{STAMP}--> PUT https://host/v2/",
        f"{STAMP}PUT /v2/ HTTP/1.1",
        "Authorization: Basic c2VjcmV0",
        shown[0],
        f"{STAMP}<-- 200 https://host/v2/ (1ms)",
        f"{STAMP}HTTP/1.1 200 OK",
        '{"token":"secret"}',
        *shown[1:],
    )
    assert said == shown


def test_manifests_that_the_registry_does_not_have_are_named() -> None:
    digests = [f"sha256:{digit * 64}" for digit in "123"]
    place = "https://host/v2/name"
    found, _ = answers(
        f"{STAMP}--> HEAD {place}/manifests/{digests[0]}",
        f"{STAMP}<-- 404 {place}/manifests/{digests[0]} (1ms)",
        f"{STAMP}<-- 200 {place}/manifests/{digests[1]} (1ms)",
        f"{STAMP}<-- 404 {place}/blobs/{digests[2]} (1ms)",
        f"{STAMP}<-- 201 {place}/manifests/{digests[0]} (1ms)",
        f"{STAMP}<-- 404 {place}/manifests/v1 (1ms)",
    )
    assert found.absent == {digests[0]}


@pytest.fixture
def busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for crane, which is refused as often as a file has lines."""
    program = tmp_path / "crane"
    program.write_text(
        f"#!{sys.executable}\n"
        "import pathlib, sys\n"
        f"file = pathlib.Path({str(tmp_path / 'refusals')!r})\n"
        "lines = file.read_text().splitlines()\n"
        "if lines:\n"
        "    file.write_text(''.join(f'{line}\\n' for line in lines[1:]))\n"
        f"    print({STAMP!r} + '<-- 429 https://host/v2/ (1ms)', file=sys.stderr)\n"
        "    print('Retry-After:', lines[0], file=sys.stderr)\n"
        "    sys.exit(1)\n"
    )
    program.chmod(0o755)
    return program


def test_it_is_tried_until_it_is_done(busy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    (busy.parent / "refusals").write_text("3\n5\n")
    assert run([str(busy), "push"])
    assert waited == [3, 5]


def test_it_is_given_up_after_a_number_of_tries(
    busy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    (busy.parent / "refusals").write_text("1\n" * 9)
    assert not run([str(busy), "push"])
    assert waited == [1] * 4


def test_a_long_time_is_not_waited_for_and_is_named(busy: Path) -> None:
    (busy.parent / "refusals").write_text(f"{crane.LONGEST + 1:.0f}\n")
    with pytest.raises(PublishError, match="asks to wait for 121 seconds"):
        run([str(busy), "push"])
