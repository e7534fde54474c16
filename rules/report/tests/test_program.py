"""The program writes a whole page or none, and says why."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rules.report.tests import samples
from rules.report.tests.samples import Built

program = importlib.import_module("rules.report.__main__")

ADVISORY = {
    "id": "GHSA-1",
    "aliases": ["CVE-1"],
    "modified": "2026-11-26T00:00:00Z",
    "summary": "It <breaks>",
    "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "two"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.1"}]}],
        }
    ],
}
IGNORED = '[[ignore]]\nid = "CVE-1"\npackage = "two"\nreason = "not called"\nexpires = 2026-12-01\n'

Run = Callable[..., int]


@pytest.fixture
def built(tmp_path: Path) -> Built:
    return samples.build(tmp_path / "built")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the person is."""
    where = tmp_path / "here"
    (where / "osv").mkdir(parents=True)
    (where / "osv/1.json").write_text(json.dumps(ADVISORY))
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(where))
    return where


@pytest.fixture
def run(built: Built, folder: Path) -> Run:
    def start(*arguments: str) -> int:
        now = "--now=2026-11-27T00:00:00+00:00"
        code: int = program.main([*built.arguments, "--output=page.html", now, *arguments])
        return code

    return start


def page(folder: Path) -> str:
    return (folder / "page.html").read_text()


def test_without_advisories_the_page_says_that_none_were_looked_at(run: Run, folder: Path) -> None:
    assert run() == program.WRITTEN

    assert "No advisories were looked at." in page(folder)
    assert "//hello:report.page -- --advisories FOLDER_OR_ZIP --output FILE" in page(folder)
    assert '<th scope="col">Advisories</th>' not in page(folder)


def test_the_page_is_the_same_each_time(run: Run, folder: Path) -> None:
    run()
    first = page(folder)
    run()

    assert page(folder) == first


def test_an_advisory_stands_with_its_package_and_the_age_of_the_data(
    run: Run, folder: Path
) -> None:
    assert run("--advisories=osv") == program.WRITTEN

    text = page(folder)
    assert "3 packages held against 1 advisories, the newest of 2026-11-26 (1 days old)" in text
    row = (
        '<tr><td class="name">two<div>2.0</div></td><td>CVE-1<div>It &lt;breaks&gt;</div></td>'
        '<td class="short">critical 9.8</td><td>2.1</td></tr>'
    )
    assert text.count(row) == 1
    assert (
        text.count('<tr><td class="name">two</td><td>2.0</td><td>MIT</td><td>CVE-1</td></tr>') == 2
    )
    assert (
        text.count('<tr><td class="name">libone</td><td>1.0-1</td><td>MIT</td><td>none</td></tr>')
        == 2
    )
    assert "No advisories were looked at" not in text


def test_a_package_of_both_cpus_is_a_finding_once(run: Run, folder: Path) -> None:
    affected = {"package": {"ecosystem": "Debian", "name": "one"}, "versions": ["1.0-1"]}
    (folder / "osv/1.json").write_text(json.dumps(ADVISORY | {"affected": [affected]}))

    assert run("--advisories=osv") == program.WRITTEN

    assert page(folder).count("libone<div>1.0-1</div></td><td>CVE-1<div>") == 1
    assert page(folder).count("<td>1.0-1</td><td>MIT</td><td>CVE-1</td></tr>") == 2


def test_advisories_about_nothing_here_are_said_to_be(run: Run, folder: Path) -> None:
    (folder / "osv/1.json").write_text(json.dumps(ADVISORY | {"affected": []}))

    assert run("--advisories=osv") == program.WRITTEN
    assert "No advisory is about any of them." in page(folder)


def test_what_is_ignored_stays_visible_with_its_reason(run: Run, folder: Path) -> None:
    (folder / "ignore.toml").write_text(IGNORED)

    assert run("--advisories=osv", "--ignore=ignore.toml") == program.WRITTEN
    assert "ignored until 2026-12-01: not called" in page(folder)
    assert "<td>CVE-1 (ignored)</td>" in page(folder)


def test_an_entry_whose_day_is_over_ignores_nothing_and_fails(
    run: Run, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "ignore.toml").write_text(IGNORED.replace("2026-12-01", "2026-11-26"))

    assert run("--advisories=osv", "--ignore=ignore.toml") == program.EXPIRED
    assert "no longer ignored: it was until 2026-11-26" in page(folder)
    assert "<td>CVE-1</td></tr>" in page(folder)
    assert "CVE-1 for two was to be looked at again by 2026-11-26" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--advisories=nowhere"], "nowhere: cannot be read"),
        (["--advisories=osv", "--max-age=0"], "expected at most 0"),
        (["--advisories=osv", "--ignore=nowhere.toml"], "expected TOML"),
        (["--output=nowhere/page.html"], "nowhere/page.html"),
        (["--output=osv"], "osv"),
    ],
)
def test_what_cannot_be_said_leaves_the_page_that_was_there(
    run: Run,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    reason: str,
) -> None:
    (folder / "page.html").write_text("as it was")

    assert run(*arguments) == program.UNKNOWN

    said = capsys.readouterr().err
    assert "ERROR: no report was written: " in said
    assert reason in said
    assert page(folder) == "as it was"
    assert sorted(path.name for path in folder.iterdir()) == ["osv", "page.html"]


def test_a_name_that_is_no_text_is_shown_by_its_bytes(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program.page, "html", lambda _: "<p>caf\udce9</p>")

    assert run() == program.WRITTEN
    assert page(folder) == "<p>caf\\udce9</p>"


def test_an_ignore_file_without_advisories_cannot_be_meant(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run("--ignore=ignore.toml")
    assert "name them with --advisories" in capsys.readouterr().err


def test_an_sbom_of_another_image_is_refused(
    run: Run, built: Built, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = samples.build(tmp_path / "other", samples.Sample(debian="1.0-2"))

    assert run("--sbom", "amd64", str(other.sboms["amd64"])) == program.UNKNOWN
    assert "expected the SBOM of sha256:" in capsys.readouterr().err
