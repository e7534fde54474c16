"""Each check of the structure tests finds what it is there to find."""

import importlib.util
import marshal
import struct
from pathlib import Path

import pytest

from tests.oci import layout, samples
from tests.oci.filesystem import Entry, Filesystem
from tests.oci.layout import Image
from tests.oci.samples import file, folder, link, program
from tests.structure import checks
from tests.structure.tests import elves

SOURCE = b"x = 1\n"


def image(where: Path, *layers: list[Entry], **config: object) -> Image:
    return layout.read(samples.write(where / "image", layers, config))


def pyc(
    source: bytes = SOURCE, *, magic: bytes = importlib.util.MAGIC_NUMBER, flags: int = 1
) -> bytes:
    header = magic + struct.pack("<I", flags) + importlib.util.source_hash(source)
    return header + marshal.dumps(compile(source, "x.py", "exec"))


@pytest.mark.parametrize("user", ["65532:65532", "1:1"])
def test_a_numeric_user_is_well(tmp_path: Path, user: str) -> None:
    assert not list(checks.user(image(tmp_path, User=user).configuration))


@pytest.mark.parametrize("user", ["", "root", "nonroot", "0", "0:0", "65532", "65532:0", "0:65532"])
def test_root_and_names_are_not(tmp_path: Path, user: str) -> None:
    (problem,) = checks.user(image(tmp_path, User=user).configuration)

    assert repr(user) in problem


def test_an_entry_point_is_a_program_of_the_image(tmp_path: Path) -> None:
    found = image(tmp_path, [program("/usr/bin/x")], Entrypoint=["/usr/bin/x"])

    assert not list(checks.entrypoint(found))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "expected a list of arguments"),
        (["x"], "'x' is not the absolute path"),
        (["/usr/bin/y"], "'/usr/bin/y' is not the absolute path of a file in the image"),
        (["/plain"], "is not executable"),
        (["/bin/sh", "-c", "x"], "is a shell"),
    ],
)
def test_anything_else_is_none(tmp_path: Path, words: list[str], expected: str) -> None:
    entries = [program("/usr/bin/x"), file("/plain"), program("/bin/sh")]

    assert expected in " ".join(checks.entrypoint(image(tmp_path, entries, Entrypoint=words)))


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o6711])
def test_setuid_and_setgid_are_found(mode: int) -> None:
    (problem,) = checks.privileged(Filesystem([file("/x", mode=mode), file("/y", mode=0o755)]))

    assert problem == f"/x: mode {mode:04o} has setuid or setgid"


def test_file_capabilities_are_found(tmp_path: Path) -> None:
    found = image(tmp_path, [file("/x", attributes={"security.capability": "y"})])

    assert list(checks.privileged(found.files)) == ["/x: has file capabilities"]


def test_what_everybody_can_write_is_found() -> None:
    files = Filesystem(
        [file("/x", mode=0o646), folder("/y", 0o1777), folder("/z"), link("/l", "x")]
    )

    assert [problem.split(":")[0] for problem in checks.writable(files, "1:1")] == ["/x", "/y"]


def test_what_the_service_can_write_is_found() -> None:
    files = Filesystem(
        [
            file("/owner", mode=0o644, uid=65532),
            file("/group", mode=0o664, gid=65532),
            file("/reads", mode=0o444, uid=65532, gid=65532),
        ]
    )

    found = [problem.split(":")[0] for problem in checks.writable(files, "65532:65532")]

    assert found == ["/group", "/owner"]


def test_unusual_kinds_are_found() -> None:
    files = Filesystem([Entry("/x", "fifo", 0o644), file("/y")])

    assert list(checks.kinds(files)) == ["/x: is a fifo"]


@pytest.mark.parametrize(
    "entry",
    [
        program("/bin/sh"),
        program("/opt/dash"),
        program("/usr/bin/busybox"),
        link("/bin/bash", "nowhere"),
        program("/usr/bin/x", b"#!/bin/sh\n"),
        program("/usr/bin/x", b"#! /usr/bin/env bash\n"),
    ],
)
def test_shells_are_found(entry: Entry) -> None:
    (problem,) = checks.shells(Filesystem([entry]))

    assert problem.startswith(f"{entry.path}: ")


def test_a_link_to_a_shell_under_another_name_is_found() -> None:
    files = Filesystem([folder("/x"), program("/x/mksh"), link("/y", "x/mksh")])

    assert "/y: leads to the shell /x/mksh" in list(checks.shells(files))


def test_data_that_has_a_shells_name_is_none() -> None:
    files = Filesystem([file("/lib/fish"), folder("/lib/nu"), program("/usr/bin/x", b"#!/y\n")])

    assert not list(checks.shells(files))


def test_a_program_known_to_be_no_shell_is_none() -> None:
    files = Filesystem([program("/bin/sh"), program("/bin/bash")])

    assert list(checks.shells(files, ["/bin/sh"])) == ["/bin/bash: is a shell"]


@pytest.mark.parametrize(
    "entry",
    [
        program("/usr/bin/dpkg"),
        program("/usr/bin/apt-get"),
        program("/usr/local/bin/pip3.13"),
        file("/usr/lib/python3/dist-packages/pip/__init__.py"),
        file("/usr/lib/python3.13/ensurepip/__main__.py"),
    ],
)
def test_package_managers_are_found(entry: Entry) -> None:
    (problem,) = checks.package_managers(Filesystem([entry]))

    assert problem.startswith(f"{entry.path}: ")


def test_the_database_of_packages_is_none() -> None:
    assert not list(checks.package_managers(Filesystem([file("/var/lib/dpkg/status.d/apt")])))


def test_programs_under_any_name_are_found() -> None:
    files = Filesystem(
        [
            program("/usr/bin/python3"),
            program("/opt/bin/x"),
            program("/y", b"#!/usr/bin/perl\n"),
            program("/usr/bin/perl"),
        ]
    )

    problems = list(checks.programs(files, ["/usr/bin/python3", "/usr/bin/perl", "/usr/bin/z"]))

    assert problems == [
        "/opt/bin/x: is a program that is not expected",
        "/usr/bin/z: is expected to be a program of the image",
    ]


def test_programs_of_a_folder_can_be_expected_together() -> None:
    files = Filesystem([program("/opt/bin/x"), program("/opt/bin/y"), program("/usr/bin/z")])

    assert list(checks.programs(files, ["/opt/bin/", "/bin/"])) == [
        "/usr/bin/z: is a program that is not expected",
        "/bin/: is expected to be a program of the image",
    ]


def test_a_script_of_an_interpreter_that_is_not_expected_is_found() -> None:
    files = Filesystem(
        [
            folder("/opt"),
            program("/opt/perl"),
            program("/y", b"#!/opt/perl\n"),
            program("/z", b"#!/n"),
        ]
    )

    assert list(checks.programs(files, [])) == ["/y: is a program that is not expected"]


def test_paths_outside_of_the_roots_are_found() -> None:
    files = Filesystem(
        [
            folder("/usr"),
            folder("/usr/lib"),
            file("/usr/lib/x"),
            file("/usr/y"),
            link("/lib", "usr"),
            folder("/tmp"),
            file("/tmp/z"),
            folder("/opt"),
        ]
    )

    problems = list(checks.outside(files, ["/usr/lib/", "/lib", "/tmp"]))

    assert [problem.split(":")[0] for problem in problems] == ["/opt", "/tmp/z", "/usr/y"]


def test_links_that_lead_nowhere_are_found() -> None:
    files = Filesystem([link("/x", "y"), file("/z"), link("/w", "/z")])

    assert list(checks.dangling(files)) == ["/x: links to y, which is not in the image"]


def test_a_file_in_two_layers_is_found(tmp_path: Path) -> None:
    found = image(tmp_path, [folder("/d"), file("/d/x")], [folder("/d"), file("/d/x")])

    assert list(checks.duplicates(found.layers)) == ["/d/x: is in layer 0 and in layer 1"]


def test_a_layer_that_takes_away_is_found(tmp_path: Path) -> None:
    found = image(tmp_path, [file("/x")], [file("/.wh.x")])

    assert list(checks.duplicates(found.layers)) == ["/.wh.x: layer 1 takes away what is below it"]


def test_symbols_in_a_wheels_file_are_found() -> None:
    with_symbols = elves.with_sections(".text", ".symtab", ".debug_info")
    files = Filesystem(
        [
            file("/usr/local/lib/a.so", with_symbols),
            file("/usr/local/lib/b.so", elves.with_sections(".text", ".comment")),
            file("/usr/local/lib/c.so", elves.build()),
            file("/usr/lib/debians.so", with_symbols),
        ]
    )

    (problem,) = checks.symbols(files)

    assert problem.startswith("/usr/local/lib/a.so: has .symtab, .debug_info; expected")


def test_a_package_in_two_layers_is_found(tmp_path: Path) -> None:
    shared = [folder("/app"), file("/app/shared/a.py"), file("/lib/own/a.py")]
    own = [folder("/app"), file("/app/own/b.py"), file("/app/shared/b/c.py"), file("/app/x.py")]
    found = image(tmp_path, shared, own)

    (problem,) = checks.split_packages(found.layers, {"PYTHONPATH": "/app"})

    assert "/app/shared/b/c.py: is in layer 1, other files of shared in layer 0" in problem


def test_owners_and_times_are_found() -> None:
    files = Filesystem([file("/x", uid=1), file("/y", modified=7), file("/z")])

    assert list(checks.owners(files)) == [
        "/x: belongs to 1:0; expected 0:0",
        "/y: has the time 7; expected 0",
    ]


def compiled(content: bytes) -> Filesystem:
    return Filesystem([file("/x/a.py", SOURCE), file("/x/__pycache__/a.cpython-313.pyc", content)])


def test_unchecked_byte_code_of_its_source_is_well() -> None:
    assert not list(checks.bytecode(compiled(pyc())))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (pyc(b"x = 2\n"), "was made of another /x/a.py"),
        (pyc(flags=3), "is checked against the source at each start"),
        (pyc(flags=0), "is checked by the source's time"),
        (pyc(magic=b"\x00\x00\r\n"), "expected magic number"),
        (b"short", "is cut short at 5 bytes"),
    ],
)
def test_any_other_byte_code_is_found(content: bytes, expected: str) -> None:
    (problem,) = checks.bytecode(compiled(content))

    assert problem.startswith("/x/__pycache__/a.cpython-313.pyc: ")
    assert expected in problem


def test_a_source_without_byte_code_is_found() -> None:
    assert list(checks.bytecode(Filesystem([file("/x/a.py")]))) == [
        "/x/a.py: has no /x/__pycache__/a.cpython-313.pyc"
    ]


@pytest.mark.parametrize(
    "path",
    ["/x/__pycache__/a.cpython-313.pyc", "/x/a.pyc", "/x/__pycache__/a.cpython-313.opt-1.pyc"],
)
def test_byte_code_without_a_source_is_found(path: str) -> None:
    (problem,) = checks.bytecode(Filesystem([file(path, pyc())]))

    assert problem == f"{path}: is byte-code of no source in the image"


CONTROL = b"Package: x\nVersion: 1\nArchitecture: amd64\nMaintainer: M <m@example.org>\n"
STATUS = "/var/lib/dpkg/status.d"


def test_debian_packages_are_exactly_those_expected() -> None:
    files = Filesystem([file(f"{STATUS}/x", CONTROL)])

    assert not list(checks.debian_packages(files, ["x"]))
    assert list(checks.debian_packages(files, [])) == [
        f"{STATUS}/x: is a package that is not expected"
    ]
    assert list(checks.debian_packages(files, ["x", "y"])) == [
        f"{STATUS}/y: is missing, and so the package y"
    ]


def test_a_status_that_scanners_cannot_read_is_found() -> None:
    files = Filesystem([file(f"{STATUS}/y", CONTROL.replace(b"Version: 1\n", b""))])

    assert list(checks.debian_packages(files, ["y"])) == [
        f"{STATUS}/y: expected Package: y, got 'x'",
        f"{STATUS}/y: has no Version",
    ]


def test_a_file_that_its_package_does_not_know_is_found() -> None:
    files = Filesystem(
        [
            file(f"{STATUS}/x", CONTROL),
            file(
                f"{STATUS}/x.md5sums", b"0cc175b9c0f1b6a831c399e269772661  a\n" + b"0" * 32 + b"  b"
            ),
            file("/a", b"a"),
            file("/b", b"b"),
        ]
    )

    assert list(checks.debian_packages(files, ["x"])) == [
        f"/b: is not what {STATUS}/x.md5sums says"
    ]


def metadata(name: str, version: str) -> Entry:
    return file(
        f"/site-packages/{name}-{version}.dist-info/METADATA",
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
    )


def test_python_packages_are_exactly_those_expected() -> None:
    files = Filesystem([metadata("A_b", "1"), metadata("pytest", "9")])

    assert list(checks.python_packages(files, {}, ["a-b", "c"])) == [
        "Python package pytest 9: is no production package",
        "Python package c: is missing",
    ]


def test_python_packages_have_their_locked_versions() -> None:
    locked = checks.locked_versions("A-b[x]==2 \\\n    --hash=sha256:00\n# c==1\n")

    assert locked == {"a-b": "2"}
    assert list(checks.python_packages(Filesystem([metadata("a-b", "1")]), locked, ["a-b"])) == [
        "Python package a-b: expected 2 as locked, got 1"
    ]


@pytest.mark.parametrize("name", ["pytest", "pytest.py", "pytest-9.0.dist-info"])
def test_modules_for_development_are_found(name: str) -> None:
    path = f"/x/site-packages/{name}"

    assert list(checks.python_modules(Filesystem([folder(path)]), ["pytest"])) == [
        f"{path}: belongs to pytest, which is for development"
    ]


def test_a_layer_over_its_budget_shows_its_largest_folders(tmp_path: Path) -> None:
    found = image(
        tmp_path,
        [folder("/a"), folder("/a/b"), file("/a/b/big", b"x" * 1000), file("/a/small", b"x")],
    )

    (problem,) = checks.budgets(found.layers, {"0": (10_000, 1000)})

    assert problem.splitlines() == [
        "layer 0: 1001 bytes unpacked, 1 over its budget of 1000. Its largest folders:",
        "        1001      2 files  /a",
        "        1000      1 files  /a/b",
    ]


def test_every_layer_has_a_budget_and_every_budget_a_layer(tmp_path: Path) -> None:
    problems = list(checks.budgets(image(tmp_path, [file("/x")]).layers, {"y": (1, 1)}))

    assert problems == [
        "layer 0: has no budget; those that have: y",
        "layer y: has a budget and is not in the image",
    ]
