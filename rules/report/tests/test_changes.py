"""What an update changed is read from the images themselves, and compared with nothing else."""

import importlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rules.diff import image
from rules.diff.store import open_store
from rules.diff.tests import images
from rules.diff.tests.registry import registry
from rules.layout.layout import Layout
from rules.report import inspection
from rules.report.tests import samples
from rules.report.tests.samples import Built, Sample
from rules.update.change import Change

program = importlib.import_module("rules.report.__main__")
changes = importlib.import_module("rules.report.changes")

CRANE = os.environ.get("CRANE", "crane")
ADVISORY = {
    "id": "DSA-1",
    "modified": "2026-11-26T00:00:00Z",
    "affected": [
        {
            "package": {"ecosystem": "Debian", "name": "one"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.0-2"}]}],
        }
    ],
}
NEW = Sample(
    debian="1.0-2", wheel="2.1", licence="Apache-2.0", more={"/app/new.py": "", "/app/same.py": ""}
)
OLD = Sample(more={"/app/old.py": "", "/app/same.py": ""})

Run = Callable[..., int]


@pytest.fixture
def new(tmp_path: Path) -> Built:
    return samples.build(tmp_path / "new", NEW)


@pytest.fixture
def old(tmp_path: Path) -> Built:
    return samples.build(tmp_path / "old", OLD)


@pytest.fixture
def run(new: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(tmp_path))

    def start(*arguments: str) -> int:
        now = "--now=2026-11-27T00:00:00+00:00"
        code: int = program.main([*new.arguments, "--output=page.html", now, *arguments])
        return code

    return start


def test_packages_licences_and_files_are_told_for_each_cpu(
    new: Built, old: Built, tmp_path: Path
) -> None:
    found = changes.read(new.index, str(old.index), name="hello", base=tmp_path)

    assert found.digest == old.digest
    assert list(found.differences) == ["amd64", "arm64"]
    difference = found.differences["amd64"]
    assert difference.packages == (
        Change("Debian", "libone", "1.0-1", "1.0-2"),
        Change("PyPI", "two", "2.0", "2.1"),
    )
    assert difference.licences == (Change("PyPI", "two", "MIT", "Apache-2.0"),)
    info = f"{samples.DIST}/two-{{}}.dist-info/METADATA"
    assert difference.appeared == ("/app/new.py", info.format("2.1"))
    assert difference.gone == ("/app/old.py", info.format("2.0"))
    assert difference.changed == ("/usr/lib/libone.so", "/var/lib/dpkg/status.d/libone")
    assert "//image:packages" in difference.sizes


def test_the_same_images_are_said_to_be_the_same(run: Run, new: Built, tmp_path: Path) -> None:
    shutil.copytree(new.index, tmp_path / "copy")

    assert run("--against=copy") == program.WRITTEN

    text = (tmp_path / "page.html").read_text()
    assert "<p>linux/amd64: the same image.</p>" in text
    assert "<h4>" not in text


def test_the_page_shows_both_versions_and_what_became_of_files(
    run: Run, old: Built, tmp_path: Path
) -> None:
    assert run(f"--against={old.index}") == program.WRITTEN

    text = (tmp_path / "page.html").read_text()
    assert '<h2 id="changes">What changed</h2>' in text
    assert old.digest in text
    assert text.count('<tr><td class="name">libone</td><td>1.0-1</td><td>1.0-2</td></tr>') == 2
    assert text.count('<tr><td class="name">two</td><td>MIT</td><td>Apache-2.0</td></tr>') == 2
    assert "<summary>2 appear</summary>\n<ul>\n<li><code>/app/new.py</code></li>" in text
    assert "<summary>2 go</summary>" in text
    assert "<summary>2 change</summary>" in text
    assert "<h4>Advisories</h4>\n<p>None were looked at.</p>" in text


def test_an_advisory_about_the_old_image_alone_is_fixed(
    run: Run, old: Built, tmp_path: Path
) -> None:
    (tmp_path / "osv.json").write_text(json.dumps(ADVISORY))

    assert run(f"--against={old.index}", "--advisories=osv.json") == program.WRITTEN

    text = (tmp_path / "page.html").read_text()
    assert "<summary>1 fixed</summary>\n<ul>\n<li><code>DSA-1 (libone)</code></li>" in text
    assert "<p>0 new</p>" in text


def test_of_an_image_in_a_registry_the_layers_that_differ_are_fetched(
    run: Run, new: Built, tmp_path: Path
) -> None:
    old = samples.build(tmp_path / "old", replace(NEW, wheel="2.0"))
    asked: list[str] = []

    with registry(old.index, asked) as place:
        code = run(f"--against={place}/todo:latest", f"--crane={CRANE}")

    assert code == program.WRITTEN
    assert "<td>2.0</td><td>2.1</td>" in (tmp_path / "page.html").read_text()
    fetched = {path.rpartition("/")[2] for path in asked if "/blobs/" in path}
    assert fetched & layers(old) == layers(old) - layers(new)
    assert len(layers(old) - layers(new)) == 1


def test_an_image_of_one_cpu_is_compared_for_that_cpu(run: Run, tmp_path: Path) -> None:
    samples.build(tmp_path / "one", OLD, cpus=["arm64"])

    assert run("--against=one/index") == program.WRITTEN

    text = (tmp_path / "page.html").read_text()
    assert "<p>linux/amd64: the other has no image for it.</p>" in text
    assert text.count("<h4>Packages</h4>") == 1


def test_packages_of_one_source_share_a_copyright_file(tmp_path: Path) -> None:
    more = {
        "/var/lib/dpkg/status.d/libone-bin": "Package: libone-bin\nSource: one\nVersion: 1\n",
        "/var/lib/dpkg/status.d/alone": "Package: alone\nVersion: 1\n",
    }
    built = samples.build(tmp_path / "built", Sample(more=more))
    store = open_store(str(built.index), tmp_path, tmp_path / "store", crane=None, insecure=False)

    node = inspection.images(image.read(store))["amd64"]
    found = inspection.Inspector(str(tmp_path)).read(node, "it").image

    assert found.packages["Debian", "alone"] == found.packages["Debian", "libone-bin"] == "1"
    assert found.licences["Debian", "libone-bin"] == found.licences["Debian", "libone"] == "MIT"
    assert ("Debian", "alone") not in found.licences


def layers(built: Built) -> set[str]:
    """The digests of all layers."""
    layout = Layout(built.index)
    return {
        each["digest"]
        for manifest in layout.images().values()
        for each in layout.manifest(manifest)["layers"]
    }


def torn(folder: Path) -> None:
    blob = max((folder / "blobs/sha256").iterdir(), key=lambda each: each.stat().st_size)
    blob.write_bytes(blob.read_bytes()[:-1])


def missing(folder: Path) -> None:
    next((folder / "blobs/sha256").iterdir()).unlink()


@pytest.mark.parametrize("harm", [torn, missing])
def test_a_layout_that_is_not_whole_leaves_the_page_that_was_there(
    run: Run,
    old: Built,
    tmp_path: Path,
    harm: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    harm(old.index)
    (tmp_path / "page.html").write_text("as it was")

    assert run(f"--against={old.index}") == program.UNKNOWN

    said = capsys.readouterr().err
    assert f"ERROR: no report was written: {old.index}: " in said
    assert harm.__name__ in said
    assert (tmp_path / "page.html").read_text() == "as it was"
    assert not (tmp_path / "page.html.partial").exists()


def test_an_image_of_another_project_is_refused_by_its_title(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples.build(tmp_path / "other", Sample(title="goodbye"))

    assert run("--against=other/index") == program.UNKNOWN
    assert "expected an image of hello, got one of goodbye" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


def test_an_image_without_a_title_is_refused(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = images.Layout(tmp_path / "other")
    layout.finish(layout.image([images.tar([])]))

    assert run("--against=other") == program.UNKNOWN
    assert "got one whose labels have no title" in capsys.readouterr().err


def test_an_image_for_another_cpu_alone_is_refused(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples.build(tmp_path / "other", Sample(), cpus=["riscv64"])

    assert run("--against=other/index") == program.UNKNOWN
    assert "expected an image for amd64 or arm64, got one for riscv64" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("against", "reason"),
    [
        ("nowhere", "there is no such file, and it is no reference"),
        ("127.0.0.1:1/hello:v1", "the registry is down"),
    ],
)
def test_what_is_no_image_is_refused(
    run: Run, tmp_path: Path, against: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    crane = tmp_path / "crane"
    crane.write_text("#!/bin/sh\necho 'dial tcp: connect: connection refused' >&2\nexit 1\n")
    crane.chmod(0o755)

    assert run(f"--against={against}", f"--crane={crane}") == program.UNKNOWN
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    ("path", "content", "reason"),
    [
        ("/var/lib/dpkg/status.d/odd", "nothing", "expected Package and Version"),
        (f"{samples.DIST}/odd-1.dist-info/METADATA", "", "expected Name and Version of a wheel"),
    ],
)
def test_a_package_that_does_not_say_what_it_is_is_named(
    run: Run,
    tmp_path: Path,
    path: str,
    content: str,
    reason: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    samples.build(tmp_path / "odd", Sample(more={path: content}))

    assert run("--against=odd/index") == program.UNKNOWN
    assert f"{path}: {reason}" in capsys.readouterr().err
