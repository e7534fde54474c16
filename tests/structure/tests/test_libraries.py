"""Libraries that ELF files need are looked for as the loader would."""

from collections.abc import Mapping

import pytest

from tests.oci.filesystem import Entry, Filesystem
from tests.oci.samples import file, folder, link
from tests.structure import elf, libraries
from tests.structure.elf import ElfError
from tests.structure.tests import elves

LIB = "/usr/lib/x86_64-linux-gnu"
FOLDERS = [folder("/usr"), folder("/usr/lib"), folder(LIB), link("/lib", "usr/lib")]


def problems(*entries: Entry, environment: Mapping[str, str] | None = None) -> list[str]:
    return list(libraries.problems(Filesystem([*FOLDERS, *entries]), "amd64", environment))


def test_reads_what_a_file_needs() -> None:
    content = elves.build(
        needed=["liba.so.1", "libb.so.2"],
        runpath="$ORIGIN/x:/y",
        interpreter="/lib64/ld.so",
        versions={"liba.so.1": ["A_1", "A_2"], "libb.so.2": ["B"]},
        defines=["C_1", "C_2"],
        pie=True,
    )

    found = elf.read(content)

    assert (found.machine, found.program, found.interpreter) == ("amd64", True, "/lib64/ld.so")
    assert found.needed == ["liba.so.1", "libb.so.2"]
    assert found.runpath == ["$ORIGIN/x", "/y"]
    assert found.versions == {"liba.so.1": ["A_1", "A_2"], "libb.so.2": ["B"]}
    assert found.defines == ["C_1", "C_2"]


def test_a_damaged_file_is_an_error() -> None:
    content = elves.build(needed=["x"])

    with pytest.raises(ElfError, match="damaged"):
        elf.read(content[:200])
    with pytest.raises(ElfError, match="expected 64 bits"):
        elf.read(b"\x7fELF\x01" + content[5:])


def test_a_library_in_a_default_folder_is_found() -> None:
    user = file("/x", elves.build(needed=["liba.so"]))

    assert problems(user, file(f"{LIB}/liba.so", elves.build())) == []
    assert problems(user, file("/usr/lib/liba.so", elves.build())) == []


def test_a_library_that_is_nowhere_is_a_problem() -> None:
    (problem,) = problems(file("/x", elves.build(needed=["liba.so"])))

    assert problem.startswith("/x: needs liba.so, which is in none of /lib/x86_64-linux-gnu, ")


def test_a_link_to_nowhere_is_no_library() -> None:
    user = file("/x", elves.build(needed=["liba.so"]))

    assert len(problems(user, link(f"{LIB}/liba.so", "liba.so.1"))) == 1


def test_paths_relative_to_the_file_are_searched() -> None:
    entries = [folder("/a"), folder("/a/b"), file("/a/b/liba.so", elves.build())]
    for user in (
        elves.build(needed=["liba.so"], runpath="$ORIGIN/b"),
        elves.build(needed=["liba.so"], rpath="${ORIGIN}/../a/b"),
    ):
        assert problems(*entries, file("/a/x", user)) == []


def test_the_containers_library_path_is_searched() -> None:
    entries = [folder("/a"), file("/a/liba.so", elves.build())]
    user = file("/x", elves.build(needed=["liba.so"]))

    assert problems(*entries, user, environment={"LD_LIBRARY_PATH": "/b:/a"}) == []
    assert len(problems(*entries, user)) == 1


def test_a_missing_interpreter_is_a_problem() -> None:
    assert problems(file("/x", elves.build(interpreter="/lib64/ld.so"))) == [
        "/x: its interpreter /lib64/ld.so is not in the image"
    ]


def test_a_symbol_version_that_the_library_lacks_is_a_problem() -> None:
    user = elves.build(needed=["libc.so"], versions={"libc.so": ["GLIBC_2.2", "GLIBC_2.99"]})
    library = elves.build(defines=["GLIBC_2.2", "GLIBC_2.40"])

    assert problems(file("/x", user), file(f"{LIB}/libc.so", library)) == [
        f"/x: needs GLIBC_2.99 of libc.so, which {LIB}/libc.so does not define"
    ]


def test_a_file_for_another_cpu_is_a_problem() -> None:
    assert problems(file("/x", elves.build(machine=183))) == ["/x: is for arm64; expected amd64"]


def test_a_library_that_is_no_elf_file_is_a_problem() -> None:
    user = file("/x", elves.build(needed=["liba.so"]))

    assert problems(user, file(f"{LIB}/liba.so", b"text")) == [
        f"/x: needs liba.so, and {LIB}/liba.so is no ELF file"
    ]
