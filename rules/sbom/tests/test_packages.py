"""Packages are what their archives say of themselves, and what the lock says of those."""

import hashlib
import lzma
import tarfile
from pathlib import Path

import pytest

from rules.layers.tests.test_deb import archive, member, tar
from rules.sbom import debs, wheels
from rules.sbom.error import SbomError
from rules.sbom.wheels import Wheel, embedded

HASH, OTHER = "ab" * 32, "cd" * 32


def deb(folder: Path, name: str, fields: str = "", *, text: str = "MIT", link: str = "") -> Path:
    control = f"Package: {name}\nVersion: 1-2\nArchitecture: amd64\nMaintainer: Ann <a@x.org>\n"
    control += f"{fields}Description: says hello\n and more\n"
    doc = member(f"./usr/share/doc/{name}/copyright")
    if link:
        doc = member(f"./usr/share/doc/{name}", kind=tarfile.SYMTYPE)
        doc.linkname = link
    return archive(
        folder / f"{name}.deb",
        debian_binary=b"2.0\n",
        control__tar__xz=lzma.compress(tar((member("./control"), control.encode()))),
        data__tar__xz=lzma.compress(tar((doc, b"" if link else text.encode()))),
    )


def test_a_debian_package_says_what_it_is(tmp_path: Path) -> None:
    file = deb(tmp_path, "hello", "Source: greetings (1)\nHomepage: https://hello.example\n")

    (found,) = debs.read([file])

    assert found.purl == "pkg:deb/debian/hello@1-2?arch=amd64&upstream=greetings%401"
    assert found.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert found.source == ("greetings", "1")
    assert (found.originator, found.summary) == ("Ann <a@x.org>", "says hello")
    assert found.homepage == "https://hello.example"


def test_the_release_is_that_of_base_files(tmp_path: Path) -> None:
    base = deb(tmp_path, "base-files")
    (found,) = debs.read([base])

    assert "distro=debian-1-2" in found.purl


def test_a_package_depends_on_what_the_image_has_of_its_depends(tmp_path: Path) -> None:
    files = [
        deb(tmp_path, "one", "Depends: two (>= 1), absent | mail, three:any | other\n"),
        deb(tmp_path, "two"),
        deb(tmp_path, "three"),
        deb(tmp_path, "four", "Provides: mail (= 2), post\n"),
    ]

    found = {package.name: package.depends for package in debs.read(files)}

    assert found == {"one": ("four", "three", "two"), "two": (), "three": (), "four": ()}


def test_a_copyright_file_may_lie_in_another_package_of_the_source(tmp_path: Path) -> None:
    linked = deb(tmp_path, "libhello", link="hello-base")
    base = deb(tmp_path, "hello-base", text="mine")

    found = {package.name: package.license for package in debs.read([linked, base])}

    ((_, (_, text)),) = found["libhello"].references.items()
    assert text == "mine"


def test_a_package_whose_copyright_file_is_nowhere_is_named(tmp_path: Path) -> None:
    with pytest.raises(SbomError, match=r"libhello has no copyright file.*is a link to hello-base"):
        debs.read([deb(tmp_path, "libhello", link="hello-base")])


def test_a_file_that_is_no_deb_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.deb").write_text("no")

    with pytest.raises(SbomError, match=r"x\.deb: expected a \.deb"):
        debs.read([tmp_path / "x.deb"])


def lock(folder: Path, *lines: str) -> Path:
    file = folder / "lock.txt"
    hashes = f"    --hash=sha256:{HASH} \\\n    --hash=sha256:{OTHER}\n"
    file.write_text("".join(f"{line} \\\n{hashes}" for line in lines))
    return file


def wheel(folder: Path, name: str, metadata: str = "", *, known: str = "ab", **more: str) -> Wheel:
    texts = {"METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{metadata}\n"} | more
    files = {}
    for number, (path, text) in enumerate(sorted(texts.items())):
        files[path] = folder / f"{name}-{number}"
        files[path].write_text(text)
    return Wheel(name, "1.0", known, files)


def test_a_wheel_says_what_it_is(tmp_path: Path) -> None:
    metadata = "License-Expression: MIT\nAuthor-email: Zoë <z@x.org>\nSummary: says hello\n"
    given = wheel(tmp_path, "Hello_World", metadata)

    (found,) = wheels.read([given], lock(tmp_path, "hello-world==1.0"), "lock", "3.13", "x86_64")

    assert (found.key, found.purl) == ("hello-world==1.0", "pkg:pypi/hello-world@1.0")
    assert (found.supplier, found.summary) == ("Zoë", "says hello")
    assert found.license.expression == "MIT"


def test_the_hash_is_the_one_of_the_lock_that_is_known_to_begin_so(tmp_path: Path) -> None:
    given = wheel(tmp_path, "one", known="cdcdcdcd")

    (found,) = wheels.read([given], lock(tmp_path, "one==1.0"), "lock", "3.13", "x86_64")

    assert found.sha256 == OTHER


@pytest.mark.parametrize("known", ["", "-", "ef"])
def test_a_wheel_whose_hash_is_not_known_is_named(tmp_path: Path, known: str) -> None:
    with pytest.raises(SbomError, match=r"one 1\.0: expected one hash of lock"):
        wheels.read(
            [wheel(tmp_path, "one", known=known)], lock(tmp_path, "one==1.0"), "lock", "3.13", "x"
        )


def test_a_wheel_that_the_lock_has_not_is_named(tmp_path: Path) -> None:
    with pytest.raises(SbomError, match=r"lock lacks one 1\.0"):
        wheels.read([wheel(tmp_path, "one")], lock(tmp_path, "two==1.0"), "lock", "3.13", "x")


def test_metadata_of_another_wheel_is_refused(tmp_path: Path) -> None:
    other = Wheel("one", "1.0", "ab", wheel(tmp_path, "two").metadata)

    with pytest.raises(SbomError, match=r"METADATA of one 1\.0 is of two 1\.0"):
        wheels.read([other], lock(tmp_path, "one==1.0"), "lock", "3.13", "x")


def test_a_wheel_depends_on_what_the_image_has_under_its_markers(tmp_path: Path) -> None:
    needs = ["two", "absent", "three; sys_platform == 'win32'", "four; platform_machine == 'arm'"]
    needs += ["five; extra == 'fast'", "six; extra == 'slow'"]
    metadata = "".join(f"Requires-Dist: {each}\n" for each in needs)
    names = ["one", "two", "three", "four", "five", "six"]
    given = [wheel(tmp_path, name, metadata if name == "one" else "") for name in names]
    pins = lock(tmp_path, "one[fast]==1.0", *(f"{name}==1.0" for name in names[1:]))

    found = {each.name: each.depends for each in wheels.read(given, pins, "lock", "3.13", "arm")}

    assert found["one"] == ("five==1.0", "four==1.0", "two==1.0")


def test_what_a_wheel_says_to_have_built_in_is_part_of_it(tmp_path: Path) -> None:
    sbom = """{"bomFormat": "CycloneDX", "components": [
        {"bom-ref": "a", "name": "crate", "version": "2", "purl": "pkg:cargo/crate@2",
         "licenses": [{"license": {"id": "MIT"}}, {"expression": "Apache-2.0 OR Zlib"}],
         "hashes": [{"alg": "SHA-256", "content": "00"}]},
        {"bom-ref": "b", "name": "other"}],
        "dependencies": [{"ref": "a", "dependsOn": ["b"]}]}"""
    given = wheel(tmp_path, "one", **{"sboms/one.cyclonedx.json": sbom})

    (found,) = wheels.read([given], lock(tmp_path, "one==1.0"), "lock", "3.13", "x86_64")

    other, crate = sorted(found.components, key=lambda each: each.version)
    assert (crate.name, crate.purl, crate.sha256) == ("crate", "pkg:cargo/crate@2", "00")
    assert crate.license.expression == "(Apache-2.0 OR Zlib) AND MIT"
    assert crate.depends == (other.ref,)


def test_a_built_in_sbom_of_another_format_is_refused() -> None:
    with pytest.raises(SbomError, match=r"x\.json: expected a CycloneDX document"):
        embedded({"spdxVersion": "SPDX-2.3"}, "x.json")
