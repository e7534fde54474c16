"""The command `doctor`: what it says of the process, and of what goes wrong."""

import asyncio
import resource
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from serving.watch import doctor
from serving.watch.doctor import Finding, examine


def finding(verdict: doctor.Verdict) -> doctor.Examination:
    async def look() -> Sequence[Finding]:
        return [Finding(subject="lamp", verdict=verdict, text="burns")]

    return look


def test_a_finding_is_a_line() -> None:
    assert str(Finding(subject="lamp", verdict="ok", text="burns")) == "ok      lamp: burns"


@pytest.mark.parametrize(("verdict", "code"), [("ok", 0), ("warning", 0), ("failed", 69)])
def test_only_what_failed_makes_it_fail(
    capsys: pytest.CaptureFixture[str], verdict: doctor.Verdict, code: int
) -> None:
    assert doctor.run([("lamp", finding(verdict))]) == code
    assert "lamp: burns" in capsys.readouterr().out


async def test_what_hangs_does_not_keep_the_others_from_being_looked_at() -> None:
    async def hang() -> Sequence[Finding]:
        await asyncio.Event().wait()
        return []

    findings = await examine([("clock", hang), ("lamp", finding("ok"))], seconds=0.05)

    assert [(one.subject, one.verdict) for one in findings] == [
        ("clock", "failed"),
        ("lamp", "ok"),
    ]


async def test_an_error_is_named_without_its_text() -> None:
    async def fail() -> Sequence[Finding]:
        raise RuntimeError("hunter2")

    (found,) = await examine([("clock", fail)])

    assert (found.verdict, "RuntimeError" in found.text) == ("failed", True)
    assert "hunter2" not in found.text


def test_a_folder_that_can_be_written_is_named() -> None:
    found = doctor.temporary_folder()
    assert found.verdict == "ok"
    assert tempfile.gettempdir() in found.text


def test_without_such_a_folder_it_says_what_to_mount(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    found = doctor.temporary_folder()
    assert found.verdict == "failed"
    assert "mount one" in found.text


def test_fewer_files_than_connections_are_a_warning() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert doctor.open_files(soft).verdict == "warning"
    assert doctor.open_files(10).verdict == "ok"


def written(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        file = folder / name.replace("__", "/").replace("_dot_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


def test_limits_of_version_2_are_told(tmp_path: Path) -> None:
    files = {"memory_dot_max": "268435456\n", "pids_dot_max": "64\n", "cpu_dot_max": "50000 100000"}
    memory, processes, processors = doctor.limits(written(tmp_path, **files))
    assert (memory.text, memory.verdict) == ("limit 256 MiB", "ok")
    assert processes.text == "limit 64"
    assert processors.text.endswith("limit 0.5")


def test_limits_of_version_1_are_told(tmp_path: Path) -> None:
    files = {"memory__memory_dot_limit_in_bytes": "67108864\n", "pids__pids_dot_max": "max\n"}
    memory, processes, _ = doctor.limits(written(tmp_path, **files))
    assert (memory.verdict, memory.text) == ("warning", "limit 64 MiB; 256 MiB are recommended")
    assert processes.text == "no limit to be seen"


def test_no_limits_are_no_fault(tmp_path: Path) -> None:
    assert all(one.verdict == "ok" for one in doctor.limits(tmp_path))
    huge = written(tmp_path, memory__memory_dot_limit_in_bytes=str(2**63 - 4096))
    assert doctor.limits(huge)[0].text == "no limit to be seen"
