"""Bundles: what goes in comes out, the same bytes every time, and nothing torn gets in."""

import contextlib
import errno
import hashlib
import io
import json
import os
import signal
import tarfile
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tools.debian.builder import bundle, bundler, command, stages
from tools.debian.builder.command import split_bundle
from tools.debian.builder.error import BuilderError
from tools.signals import termination

PACKAGE = b"a package"
WHEEL = b"a wheel"


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def builder(tmp_path: Path) -> Path:
    root = tmp_path / "one/builder/0123456789abcdef"
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/program").write_text("program")
    (root / "usr/bin/program").chmod(0o755)
    (root / "bin").symlink_to("usr/bin")
    (root / "usr/bin/other name").write_text("x" * 100_000)
    (root / stages.TESTS).touch()
    return root


@pytest.fixture
def cache(builder: Path) -> Path:
    cache = builder.parents[1]
    entry = cache / bundle._REPOSITORY_CACHE / sha(PACKAGE)
    entry.mkdir(parents=True)
    (entry / "file").write_bytes(PACKAGE)
    wheels = cache / "wheels/linux_x86_64-3.13/a==1-0"
    wheels.mkdir(parents=True)
    (wheels / "a-1-py3-none-any.whl").write_bytes(WHEEL)
    (wheels / "b-1-py3-none-any.whl").write_bytes(b"of another lock")
    return cache


@pytest.fixture
def locks(tmp_path: Path) -> list[Path]:
    packages, wheels = tmp_path / "lock.json", tmp_path / "lock.txt"
    packages.write_text(json.dumps({"sha256": sha(PACKAGE)}))
    wheels.write_text(f"a==1 --hash=sha256:{sha(WHEEL)} --hash=sha256:{sha(b'of another CPU')}\n")
    return [packages, wheels]


@pytest.fixture
def file(tmp_path: Path, builder: Path, cache: Path, locks: list[Path]) -> Path:
    target = tmp_path / "bundle.tar"
    bundle.write(target, builder=builder, cache=cache, locks=locks)
    return target


def packed(tmp_path: Path, manifest: bytes) -> Path:
    target = tmp_path / "bundle.tar"
    with tarfile.open(target, "w") as archive:
        entry = tarfile.TarInfo(bundle.MANIFEST)
        entry.size = len(manifest)
        archive.addfile(entry, io.BytesIO(manifest))
    return target


def elsewhere(tmp_path: Path, builder: Path) -> tuple[Path, Path]:
    cache = tmp_path / "two"
    cache.mkdir(exist_ok=True)
    return cache / "builder" / builder.name, cache


def test_what_was_packed_is_unpacked(tmp_path: Path, builder: Path, file: Path) -> None:
    root, cache = elsewhere(tmp_path, builder)
    bundle.unpack(file, builder=root, cache=cache)
    assert (root / "usr/bin/program").stat().st_mode & 0o777 == 0o755
    assert (root / "bin").readlink() == Path("usr/bin")
    assert (root / "usr/bin/other name").read_text() == "x" * 100_000
    assert (cache / bundle._REPOSITORY_CACHE / sha(PACKAGE) / "file").read_bytes() == PACKAGE
    assert [path.name for path in cache.glob("wheels/*/*/*")] == ["a-1-py3-none-any.whl"]


def test_the_same_root_and_locks_give_the_same_bytes(
    tmp_path: Path, builder: Path, cache: Path, locks: list[Path], file: Path
) -> None:
    again = tmp_path / "again.tar"
    bundle.write(again, builder=builder, cache=cache, locks=locks)
    assert again.read_bytes() == file.read_bytes()


def test_unpacking_twice_reads_only_the_manifest(tmp_path: Path, builder: Path, file: Path) -> None:
    root, cache = elsewhere(tmp_path, builder)
    bundle.unpack(file, builder=root, cache=cache)
    (root / "usr/bin/program").unlink()
    with file.open("r+b") as torn:
        torn.truncate(20_000)
    bundle.unpack(file, builder=root, cache=cache)
    assert not (root / "usr/bin/program").exists()


def test_two_at_once_unpack_it_once(
    tmp_path: Path, builder: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, cache = elsewhere(tmp_path, builder)
    make, both = tempfile.mkdtemp, threading.Barrier(2)

    def together(**options: Any) -> str:
        # Where both come here they begin together; one that comes alone goes on.
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(1)
        return str(make(**options))

    monkeypatch.setattr(tempfile, "mkdtemp", together)
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(bundle.unpack, file, builder=root, cache=cache) for _ in range(2)]

    assert [call.exception() for call in calls] == [None, None]
    assert not list(cache.glob("**/*partial*"))


def test_what_one_that_was_killed_has_left_is_removed(
    tmp_path: Path, builder: Path, file: Path
) -> None:
    root, cache = elsewhere(tmp_path, builder)
    (root.parent / f"{root.name}.partial-killed/usr").mkdir(parents=True)

    bundle.unpack(file, builder=root, cache=cache)

    assert not list(cache.glob("**/*partial*"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_writing_leaves_nothing(
    tmp_path: Path,
    builder: Path,
    cache: Path,
    locks: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:
    def interrupted(source: Path, target: Path) -> None:
        target.write_bytes(b"half of " + os.fsencode(source))
        os.kill(os.getpid(), number)

    monkeypatch.setattr(termination, "run", lambda *_, **__: 0)
    monkeypatch.setattr(command, "prepare", lambda *_, **__: None)
    monkeypatch.setattr(command, "place", lambda _: builder)
    monkeypatch.setattr(command, "cache_folder", lambda _: cache)
    monkeypatch.setattr(bundle, "_pack", interrupted)
    target = tmp_path / "out/some.bundle"
    target.parent.mkdir()
    words = [str(target), *(f"--lock={lock}" for lock in locks)]

    with pytest.raises(SystemExit) as ended:
        bundler.main(words)

    assert ended.value.code == 128 + number
    assert not list(target.parent.iterdir())


def test_a_root_without_what_tests_call_is_not_mixed_with_another(
    tmp_path: Path, builder: Path, file: Path
) -> None:
    root, cache = elsewhere(tmp_path, builder)
    bundle.unpack(file, builder=root, cache=cache)
    (root / stages.TESTS).unlink()
    (root / "usr/bin/program").write_text("of another version")

    with pytest.raises(BuilderError, match=rf"tools/bazel shutdown\), remove {root}, and try"):
        bundle.unpack(file, builder=root, cache=cache)

    assert (root / "usr/bin/program").read_text() == "of another version"


def test_a_cache_without_any_package_stops_the_writing(
    tmp_path: Path, builder: Path, cache: Path, locks: list[Path]
) -> None:
    locks[0].write_text(json.dumps({"sha256": sha(b"missing")}))
    with pytest.raises(BuilderError, match="none of the 1 locked packages"):
        bundle.write(tmp_path / "x.tar", builder=builder, cache=cache, locks=locks)
    assert not list(tmp_path.glob("*x.tar*"))


@pytest.mark.parametrize("what", ["root", "package", "end", "nonsense", "missing", "empty"])
def test_a_torn_or_changed_bundle_leaves_nothing(
    tmp_path: Path, builder: Path, file: Path, what: str
) -> None:
    data = bytearray(file.read_bytes())
    with tarfile.open(file) as archive:
        inside = archive.getmember(bundle.ROOT).offset_data + 40
    if what == "root":
        data[inside] ^= 1
    elif what == "package":
        data = data.replace(PACKAGE, b"A package")
    elif what == "end":
        data = data[:inside]
    elif what == "nonsense":
        data = bytearray(b"nonsense")
    elif what == "empty":
        data = bytearray()
    if what == "missing":
        file.unlink()
    else:
        file.write_bytes(data)
    root, cache = elsewhere(tmp_path, builder)
    with pytest.raises(BuilderError, match=r"bundle\.tar"):
        bundle.unpack(file, builder=root, cache=cache)
    assert what == "package" or not root.exists()
    assert not list(cache.glob("**/*partial*"))
    assert not list(cache.glob("bundles/*"))


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"format": 1}',
        b'{"format": 1, "machine": "x86_64", "root": "0123456789abcdef"}',
    ],
)
def test_a_manifest_that_is_none_is_refused(
    tmp_path: Path, builder: Path, manifest: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = os.uname_result(("Linux", "host", "6", "#1", "x86_64"))
    monkeypatch.setattr(os, "uname", lambda: name)
    root, cache = elsewhere(tmp_path, builder)
    with pytest.raises(BuilderError, match=r"bundle\.json is not one"):
        bundle.unpack(packed(tmp_path, manifest), builder=root, cache=cache)
    assert not list(cache.iterdir())


def test_a_bundle_of_another_format_says_so(tmp_path: Path, builder: Path) -> None:
    root, cache = elsewhere(tmp_path, builder)
    with pytest.raises(BuilderError, match="format 2; expected 1"):
        bundle.unpack(packed(tmp_path, b'{"format": 2}'), builder=root, cache=cache)


def test_a_full_disk_leaves_nothing_half_made(
    tmp_path: Path, builder: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    root, cache = elsewhere(tmp_path, builder)
    monkeypatch.setattr(bundle, "_copy", full)
    with pytest.raises(BuilderError, match="No space left on device"):
        bundle.unpack(file, builder=root, cache=cache)
    assert not root.exists()
    assert not list(cache.glob("**/*partial*"))
    assert not list(cache.glob("bundles/*"))


def test_a_bundle_of_another_checkout_says_so(tmp_path: Path, builder: Path, file: Path) -> None:
    _, cache = elsewhere(tmp_path, builder)
    with pytest.raises(BuilderError, match="this checkout wants fedcba"):
        bundle.unpack(file, builder=cache / "builder/fedcba", cache=cache)


def test_a_bundle_of_another_machine_says_so(
    tmp_path: Path, builder: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, cache = elsewhere(tmp_path, builder)
    name = os.uname_result(("Linux", "host", "6", "#1", "riscv64"))
    monkeypatch.setattr(os, "uname", lambda: name)
    with pytest.raises(BuilderError, match="and this is riscv64"):
        bundle.unpack(file, builder=root, cache=cache)


def test_a_member_cannot_leave_the_cache_folder(tmp_path: Path) -> None:
    for name in ("wheels/../../x", "wheels//x", "repositories/../x", "other/x", "repositories/"):
        with pytest.raises(BuilderError, match="expected root, repositories or wheels"):
            bundle._destination(bundle.Member(name, "0" * 64, 1), tmp_path)


def test_the_bundle_is_named_before_the_command_or_by_a_variable() -> None:
    assert split_bundle(["--bundle", "x", "build", "//a"], {}) == (Path("x"), ["build", "//a"])
    assert split_bundle(["build"], {"BAZEL_BUNDLE": "y"}) == (Path("y"), ["build"])
    assert split_bundle(["build"], {}) == (None, ["build"])
    with pytest.raises(BuilderError, match="expected a file"):
        split_bundle(["--bundle"], {})
