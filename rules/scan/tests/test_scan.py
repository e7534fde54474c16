"""The program: exit codes, what is ignored, and what it writes."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rules.scan.__main__ import CLEAN, FOUND, UNKNOWN, main
from rules.update import locks
from rules.update.change import Change
from rules.update.locks import Lock

ADVISORY = {
    "id": "GHSA-1",
    "aliases": ["CVE-1"],
    "modified": "2026-11-26T00:00:00Z",
    "summary": "It breaks",
    "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "one"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2"}]}],
        }
    ],
}
IGNORED = '[[ignore]]\nid = "CVE-1"\npackage = "one"\nreason = "not called"\nexpires = 2026-12-01\n'

Scan = Callable[..., int]


@pytest.fixture
def scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scan:
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(tmp_path))
    urls = ["pkg:pypi/one@1.0", "pkg:cargo/crate@1", "pkg:oci/hello@sha256%3A0"]
    packages = [
        {"externalRefs": [{"referenceType": "purl", "referenceLocator": url}]} for url in urls
    ]
    (tmp_path / "sbom.json").write_text(json.dumps({"packages": packages}))
    (tmp_path / "osv").mkdir()
    (tmp_path / "osv/1.json").write_text(json.dumps(ADVISORY))

    def run(*arguments: str, advisories: str = "osv") -> int:
        fixed = [f"--sbom={tmp_path}/sbom.json", "--name=hello", "--now=2026-11-27T00:00:00+00:00"]
        return main([*fixed, f"--advisories={advisories}", *arguments])

    return run


def test_a_finding_with_a_fix_fails(scan: Scan, capsys: pytest.CaptureFixture[str]) -> None:
    assert scan() == FOUND

    said = capsys.readouterr().out
    assert "1 packages of hello held against 1 advisories, the newest of 2026-11-26" in said
    assert "(1 days old); 1 components that packages have built in were not" in said
    assert "one      1.0      CVE-1     critical 9.8  2         It breaks" in said


def test_nothing_found_is_said_with_the_age_of_the_data(
    scan: Scan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = ADVISORY | {"affected": []}
    (tmp_path / "osv/1.json").write_text(json.dumps(other))

    assert scan() == CLEAN
    said = capsys.readouterr().out
    assert "(1 days old)" in said
    assert "No advisory is about any of them" in said


@pytest.mark.parametrize(("threshold", "code"), [("critical", FOUND), ("never", CLEAN)])
def test_the_exit_code_follows_from_what_counts(scan: Scan, threshold: str, code: int) -> None:
    assert scan(f"--fail-on={threshold}") == code


def test_what_is_ignored_does_not_count_and_is_shown(
    scan: Scan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ignore.toml").write_text(IGNORED)

    assert scan("--ignore=ignore.toml") == CLEAN
    assert "ignored: not called" in capsys.readouterr().out


def test_an_entry_whose_day_is_over_fails(
    scan: Scan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ignore.toml").write_text(IGNORED.replace("2026-12-01", "2026-11-26"))

    assert scan("--ignore=ignore.toml") == FOUND
    assert "CVE-1 for one was to be looked at again by 2026-11-26" in capsys.readouterr().err


def test_an_entry_holds_on_its_last_day(scan: Scan, tmp_path: Path) -> None:
    (tmp_path / "ignore.toml").write_text(IGNORED.replace("2026-12-01", "2026-11-27"))

    assert scan("--ignore=ignore.toml") == CLEAN


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (IGNORED.replace('"one"', '"two"'), "CVE-1 for two: no such advisory is about the image"),
        (IGNORED.replace('"not called"', '""'), "entry 1: reason is ''; expected a text"),
        (IGNORED.replace("2026-12-01", '"later"'), "expires is 'later'; expected a day"),
        (IGNORED + 'justification = "because"', "expected one of OpenVEX's"),
        (IGNORED + "until = 1", "unknown key until"),
        ("ignore", "expected TOML"),
    ],
)
def test_an_entry_that_cannot_be_meant_is_an_error(
    scan: Scan, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, reason: str
) -> None:
    (tmp_path / "ignore.toml").write_text(text)

    assert scan("--ignore=ignore.toml", "--vex=vex.json", "--output=out") == UNKNOWN
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "vex.json").exists()
    assert not (tmp_path / "out").exists()


def test_what_is_ignored_is_written_as_openvex(scan: Scan, tmp_path: Path) -> None:
    (tmp_path / "ignore.toml").write_text(IGNORED)

    scan("--ignore=ignore.toml", "--vex=vex.json")

    said: dict[str, Any] = json.loads((tmp_path / "vex.json").read_text())
    assert said["@context"] == "https://openvex.dev/ns/v0.2.0"
    (statement,) = said["statements"]
    assert statement["vulnerability"] == {"name": "CVE-1", "aliases": ["GHSA-1"]}
    assert statement["products"] == [{"@id": "pkg:pypi/one@1.0"}]
    assert statement["status"] == "not_affected"
    assert statement["justification"] == "vulnerable_code_not_in_execute_path"
    assert statement["impact_statement"] == "not called"


def test_programs_get_json(scan: Scan, capsys: pytest.CaptureFixture[str]) -> None:
    scan("--format=json")

    said = json.loads(capsys.readouterr().out)
    assert said["advisories"] == {
        "count": 1,
        "newest": "2026-11-26T00:00:00+00:00",
        "age_days": 1,
    }
    (finding,) = said["findings"]
    assert (finding["advisory"], finding["aliases"], finding["fixed"]) == ("CVE-1", ["GHSA-1"], "2")


def resolved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, new: str) -> None:
    changes = (Change("PyPI", "one", "1.0", new), Change("PyPI", "test-only", "1", "2"))
    monkeypatch.setenv("BUILD_WORKSPACE_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(locks, "resolve", lambda *_: [Lock("requirements_lock.txt", "", changes)])


def test_newer_versions_of_what_is_in_the_image_are_named_when_asked_for(
    scan: Scan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    resolved(monkeypatch, tmp_path, "1.1")

    assert scan("--newer", "--fail-on=never") == CLEAN
    assert capsys.readouterr().out.endswith("\n\nPACKAGE  VERSION  NEWER\none      1.0      1.1\n")
    scan("--newer", "--format=json")
    assert json.loads(capsys.readouterr().out)["newer"] == [
        {"package": "one", "version": "1.0", "newer": "1.1"}
    ]


def test_an_index_that_is_behind_the_image_has_nothing_newer(
    scan: Scan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    resolved(monkeypatch, tmp_path, "0.9")

    scan("--newer")
    assert "nor the index have a newer version of any" in capsys.readouterr().out


def test_newer_versions_that_cannot_be_known_are_no_result(
    scan: Scan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("BUILD_WORKSPACE_DIRECTORY", raising=False)

    assert scan("--newer") == UNKNOWN
    assert "newer versions are not known: started by itself" in capsys.readouterr().err


def test_code_scanning_gets_sarif(
    scan: Scan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ignore.toml").write_text(IGNORED)

    scan("--format=sarif", "--ignore=ignore.toml")

    said = json.loads(capsys.readouterr().out)
    (run,) = said["runs"]
    (rule,) = run["tool"]["driver"]["rules"]
    (result,) = run["results"]
    assert said["version"] == "2.1.0"
    assert (rule["id"], rule["properties"]) == ("CVE-1", {"security-severity": "9.8"})
    assert (result["ruleId"], result["level"]) == ("CVE-1", "error")
    assert result["suppressions"] == [{"kind": "external", "justification": "not called"}]


def test_no_advisories_are_no_result(scan: Scan, capsys: pytest.CaptureFixture[str]) -> None:
    assert scan(advisories="nowhere") == UNKNOWN
    captured = capsys.readouterr()
    assert "nowhere: cannot be read" in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"packages": [{"externalRefs": 1}]}', '{"packages": []}']
)
def test_an_sbom_that_is_none_is_no_result(
    scan: Scan, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (tmp_path / "sbom.json").write_text(text)

    assert scan() == UNKNOWN
    assert "SBOM" in capsys.readouterr().err


def test_another_scanner_gets_the_sbom_and_its_exit_code_counts(
    scan: Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/grype"
    program.write_text('#!/bin/sh\necho "$@"\nexit 5\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")

    assert scan("--with=grype", "--only-fixed") == 5
    assert capfd.readouterr().out == f"sbom:{tmp_path}/sbom.json --only-fixed\n"


def test_another_scanner_that_is_missing_is_named(
    scan: Scan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    assert scan("--with=trivy") == UNKNOWN
    assert "trivy is not in PATH" in capsys.readouterr().err


@pytest.mark.parametrize("days", ["-1", "soon", "99999999999"])
def test_days_that_are_none_are_a_wrong_option(
    scan: Scan, capsys: pytest.CaptureFixture[str], days: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        scan(f"--max-age={days}")

    assert ended.value.code == UNKNOWN
    assert f"expected days, 0 to 36500, got {days}" in capsys.readouterr().err


def test_a_result_that_cannot_be_written_leaves_nothing(scan: Scan, tmp_path: Path) -> None:
    (tmp_path / "folder/inside").mkdir(parents=True)

    assert scan("--output=folder") == UNKNOWN
    assert not list(tmp_path.rglob("*.partial"))
