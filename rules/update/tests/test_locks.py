"""Locks are resolved in memory, wheels by uv from an index on loopback, and written whole."""

import functools
import hashlib
import http.server
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rules.debian import update as debian
from rules.debian.update import Package
from rules.update import locks
from rules.update.change import Change
from rules.update.error import RefusedError
from rules.update.locks import Lock

LIBC = Package("libc6", "amd64", "2.41-12", "trixie", "pool/main/g/libc6.deb", 5, "0" * 64)


def publish(index: Path, name: str, version: str) -> None:
    """Adds a wheel to a folder that is an index (PEP 503)."""
    folder = index / name
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    links = [
        f'<a href="{file.name}#sha256={hashlib.sha256(file.read_bytes()).hexdigest()}">'
        f"{file.name}</a>"
        for file in sorted(folder.glob("*.whl"))
    ]
    (folder / "index.html").write_text("<!DOCTYPE html><html><body>" + "\n".join(links))


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "index"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            # uv would otherwise keep an answer for ten minutes.
            self.send_header("Cache-Control", "no-store")
            super().end_headers()

        def log_message(self, *args: object) -> None:
            pass

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,))
        thread.start()
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{listening.server_port}/")
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
        yield folder
        listening.shutdown()
        thread.join()


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    (folder / "image").mkdir(parents=True)
    (folder / "requirements.in").write_text("demo\n")
    return folder


def test_a_newer_wheel_of_the_index_is_behind_and_nothing_is_written(
    index: Path, workspace: Path
) -> None:
    publish(index, "demo", "1.0")
    (first,) = locks.resolve(workspace)
    locks.write(workspace, [first])
    publish(index, "demo", "1.1")

    (second,) = locks.resolve(workspace)

    assert first.changes == (Change("PyPI", "demo", "", "1.0"),)
    assert second.changes == (Change("PyPI", "demo", "1.0", "1.1"),)
    assert (workspace / "requirements_lock.txt").read_text() == first.text
    assert sorted(path.name for path in workspace.iterdir()) == [
        "image",
        "requirements.in",
        "requirements_lock.txt",
    ]


def test_a_wheel_that_is_named_moves_alone(index: Path, workspace: Path) -> None:
    (workspace / "requirements.in").write_text("demo\nother\n")
    for name in ("demo", "other"):
        publish(index, name, "1.0")
    locks.write(workspace, locks.resolve(workspace))
    for name in ("demo", "other"):
        publish(index, name, "1.1")

    (lock,) = locks.resolve(workspace, named=["Demo"])

    assert lock.changes == (Change("PyPI", "demo", "1.0", "1.1"),)
    assert "other==1.0 " in lock.text


def test_what_the_index_lacks_is_told(index: Path, workspace: Path) -> None:
    with pytest.raises(RefusedError, match=r"requirements_lock\.txt: uv failed"):
        locks.resolve(workspace)


@pytest.fixture
def archive(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> list[Package]:
    (workspace / "image/packages.toml").write_text("")
    (workspace / "requirements.in").unlink()
    (workspace / "image/lock.json").write_text(debian.render([LIBC], {}))
    offered = [LIBC]
    monkeypatch.setattr(debian, "resolve", lambda *_: (offered, debian.render(offered, {})))
    return offered


def test_a_package_that_is_named_is_resolved_in_the_locks_that_have_it(
    workspace: Path, archive: list[Package], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def resolve(folder: Path, named: list[str]) -> tuple[list[Package], str]:
        asked.append((folder.name, named))
        return [replace(LIBC, version="2.41-13")], "new"

    monkeypatch.setattr(debian, "resolve", resolve)
    (workspace / "image/packages.toml").write_text('[base]\nlibc6 = "all"\nzlib1g = "some"\n')
    (workspace / "rules/strip").mkdir(parents=True)
    (workspace / "rules/strip/packages.toml").write_text('[base]\nzlib1g = "strip"\n')
    (workspace / "requirements.in").write_text("demo\n")
    (workspace / "requirements_lock.txt").write_text("")

    (lock,) = locks.resolve(workspace, named=["libc6"])

    assert asked == [("image", ["libc6"])]
    assert (lock.path, lock.changes) == (
        "image/lock.json",
        (Change("Debian", "libc6", "2.41-12", "2.41-13"),),
    )


def test_a_name_that_no_lock_has_is_refused_before_anybody_is_asked(
    workspace: Path, archive: list[Package]
) -> None:
    (workspace / "image/packages.toml").write_text('[base]\nlibc6 = "all"\n')

    with pytest.raises(RefusedError, match="no lock has demo, libc7: expected a package that"):
        locks.resolve(workspace, named=["demo", "libc6", "libc7"])


def test_a_package_of_both_cpus_is_one_change(workspace: Path, archive: list[Package]) -> None:
    arm64 = Package("libc6", "arm64", "2.41-12", "trixie", "pool/main/g/arm.deb", 5, "0" * 64)
    (workspace / "image/lock.json").write_text(debian.render([LIBC, arm64], {}))
    archive[:] = [
        Package("libc6", cpu, "2.41-13", "trixie", "pool/main/g/new.deb", 5, "1" * 64)
        for cpu in ("amd64", "arm64")
    ]

    (lock,) = locks.resolve(workspace)

    assert lock.changes == (Change("Debian", "libc6", "2.41-12", "2.41-13"),)


def test_a_new_time_of_the_archive_alone_is_no_change(
    workspace: Path, archive: list[Package], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = debian.render(archive, {"debian": "20260101T000000Z"})
    monkeypatch.setattr(debian, "resolve", lambda *_: (archive, text))

    (lock,) = locks.resolve(workspace)

    assert lock.changes == ()


def test_a_version_that_has_other_bytes_is_refused(workspace: Path, archive: list[Package]) -> None:
    archive[:] = [replace(LIBC, sha256="1" * 64)]

    with pytest.raises(RefusedError, match=r"libc6 2\.41-12 \(amd64\) has sha256 1{64}"):
        locks.resolve(workspace)


def test_a_move_to_another_suite_is_no_change(workspace: Path, archive: list[Package]) -> None:
    archive[:] = [replace(LIBC, suite="trixie-security")]

    (lock,) = locks.resolve(workspace)

    assert lock.changes == ()


def test_an_archive_that_fails_is_told_with_the_lock(
    workspace: Path, archive: list[Package], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise debian.UpdateError("apt-get failed: NO_PUBKEY")

    monkeypatch.setattr(debian, "resolve", fail)

    with pytest.raises(RefusedError, match=r"image/lock\.json: apt-get failed: NO_PUBKEY"):
        locks.resolve(workspace)


def test_both_locks_are_written_or_none(workspace: Path) -> None:
    (workspace / "image/lock.json").write_text("old")
    (workspace / "requirements_lock.txt").mkdir()
    (workspace / "requirements_lock.txt/in-the-way").touch()
    new = [Lock("image/lock.json", "new", ()), Lock("requirements_lock.txt", "new", ())]

    with pytest.raises(RefusedError, match="stay as they were"):
        locks.write(workspace, new)

    assert (workspace / "image/lock.json").read_text() == "old"
    assert [path.name for path in (workspace / "image").iterdir()] == ["lock.json"]
