"""Files come out of .deb archives as Debian packed them."""

import gzip
import io
import lzma
import tarfile
from pathlib import Path

import pytest

from rules.layers import deb
from rules.layers.tree import Directory, File, LayerError, Symlink

CONTROL = "Package: hello\nVersion: 1\n"


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for header, content in members:
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    return out.getvalue()


def member(name: str, mode: int = 0o644, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.mode = mode
    header.type = kind
    return header


def archive(file: Path, **members: bytes) -> Path:
    content = b"!<arch>\n"
    for name, data in members.items():
        title = name.replace("__", ".").replace("_", "-") + "/"
        content += f"{title:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode()
        content += data + b"\n" * (len(data) % 2)
    file.write_bytes(content)
    return file


def package(file: Path, data: bytes) -> Path:
    control = tar((member("./control"), CONTROL.encode()), (member("./md5sums"), b"0 a\n"))
    return archive(
        file,
        debian_binary=b"2.0\n",
        control__tar__xz=lzma.compress(control),
        data__tar__xz=lzma.compress(data),
    )


def test_a_package_has_its_control_and_its_files(tmp_path: Path) -> None:
    link = member("./usr/bin/hi", kind=tarfile.SYMTYPE)
    link.linkname = "hello"
    data = tar(
        (member("./", 0o755, tarfile.DIRTYPE), b""),
        (member("./usr/bin/", 0o755, tarfile.DIRTYPE), b""),
        (member("./usr/bin/hello", 0o4755), b"run"),
        (link, b""),
    )

    found = deb.read(package(tmp_path / "hello.deb", data))

    assert (found.name, found.control, found.md5sums) == ("hello", CONTROL, "0 a\n")
    assert dict(found.entries) == {
        "usr/bin": Directory("hello"),
        "usr/bin/hello": File(b"run", True, "hello"),
        "usr/bin/hi": Symlink("hello", "hello"),
    }


@pytest.mark.parametrize(("mode", "executable"), [(0o755, True), (0o644, False), (0o677, False)])
def test_a_hard_link_is_the_file_it_names(tmp_path: Path, mode: int, executable: bool) -> None:
    link = member("./b", 0o755, tarfile.LNKTYPE)
    link.linkname = "./a"

    found = deb.read(package(tmp_path / "a.deb", tar((member("./a", mode), b"x"), (link, b""))))

    assert dict(found.entries) == {name: File(b"x", executable, "hello") for name in "ab"}


def test_a_package_has_a_name(tmp_path: Path) -> None:
    control = gzip.compress(tar((member("control"), b"Version: 1\n")))
    file = archive(tmp_path / "a.deb", control__tar__gz=control, data__tar=tar())

    with pytest.raises(LayerError, match=r"a\.deb: its control file names no package"):
        deb.read(file)


def test_a_member_of_odd_length_is_filled_up(tmp_path: Path) -> None:
    file = archive(
        tmp_path / "a.deb",
        debian_binary=b"2.0\n\n",
        control__tar=tar((member("control"), CONTROL.encode())),
        data__tar=tar((member("a"), b"x")),
    )

    assert [path for path, _ in deb.read(file).entries] == ["a"]


def test_a_device_is_refused(tmp_path: Path) -> None:
    file = package(tmp_path / "a.deb", tar((member("./dev/null", kind=tarfile.CHRTYPE), b"")))

    with pytest.raises(LayerError, match="/dev/null from hello is a device"):
        deb.read(file)


def test_gzip_members_are_read(tmp_path: Path) -> None:
    file = archive(
        tmp_path / "a.deb",
        control__tar__gz=gzip.compress(tar((member("control"), CONTROL.encode()))),
        data__tar=tar((member("a"), b"x")),
    )

    assert [path for path, _ in deb.read(file).entries] == ["a"]


def test_a_file_that_is_no_package_is_named(tmp_path: Path) -> None:
    file = tmp_path / "page.deb"
    file.write_bytes(b"<!doctype html>")

    with pytest.raises(LayerError, match=r"page.deb: expected a .deb .* got b'<!doctyp'"):
        deb.read(file)


def test_a_package_that_is_cut_short_is_named(tmp_path: Path) -> None:
    file = package(tmp_path / "a.deb", tar((member("./a"), b"x")))
    file.write_bytes(file.read_bytes()[:-20])

    with pytest.raises(LayerError, match=r"cut short: data\.tar\.xz should have"):
        deb.read(file)


def test_a_package_without_data_is_refused(tmp_path: Path) -> None:
    control = lzma.compress(tar((member("control"), CONTROL.encode())))
    file = archive(tmp_path / "a.deb", control__tar__xz=control, debian_binary=b"")

    with pytest.raises(
        LayerError, match=r"expected a member data\.tar.*it holds control\.tar\.xz, debian-binary"
    ):
        deb.read(file)
