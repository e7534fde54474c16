"""A layer: its archive, its digests, what stays out."""

import hashlib
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rules.layers import part
from rules.layers.exclusions import Exclusions
from rules.layers.tests.test_deb import member, package, tar
from rules.layers.tree import File, LayerError
from rules.layers.writer import main

EXCLUSIONS = """
[exclude]
"/usr/share/doc/*" = "documentation"
"*.h" = "sources"
[keep]
"/usr/share/doc/*/copyright" = "licences"
"""


Write = Callable[..., int]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    def run(*arguments: str) -> int:
        file = tmp_path / "arguments"
        outputs = [f"--{name}={tmp_path / name}" for name in ("layer", "descriptor", "contents")]
        file.write_text("\n".join([*outputs, *arguments]))
        monkeypatch.setattr("sys.argv", ["writer", f"@{file}"])
        return main()

    return run


def names(tmp_path: Path) -> list[str]:
    with tarfile.open(tmp_path / "layer") as archive:
        return [member.name for member in archive if not member.isdir()]


def rows(tmp_path: Path) -> dict[str, dict[str, object]]:
    """What the contents say, by the path."""
    lines = (tmp_path / "contents").read_text().splitlines()
    return {row["path"]: row for row in map(json.loads, lines)}


def programs(tmp_path: Path) -> list[str]:
    """Files of the layer that can be run."""
    with tarfile.open(tmp_path / "layer") as archive:
        return [member.name for member in archive if member.isfile() and member.mode & 0o111]


def test_a_package_comes_with_its_status_and_without_what_is_excluded(
    write: Write, tmp_path: Path
) -> None:
    data = tar(
        (member("./usr/share/doc/hello/copyright"), b"mine"),
        (member("./usr/share/doc/hello/README"), b"read"),
        (member("./usr/include/hello.h"), b"h"),
        (member("./usr/bin/hello", 0o755), b"run"),
    )
    package(tmp_path / "hello.deb", data)
    (tmp_path / "x.toml").write_text(EXCLUSIONS)

    assert write(f"--deb={tmp_path}/hello.deb", f"--exclude={tmp_path}/x.toml") == 0

    assert names(tmp_path) == [
        "usr/bin/hello",
        "usr/share/doc/hello/copyright",
        "var/lib/dpkg/status.d/hello",
        "var/lib/dpkg/status.d/hello.md5sums",
    ]
    assert programs(tmp_path) == ["usr/bin/hello"]


def test_joined_files_make_one_in_order(write: Write, tmp_path: Path) -> None:
    for name in "ba":
        (tmp_path / name).write_text(f"{name}\n\n")

    first = ("--file", "/share/b.crt", f"{tmp_path}/b")
    second = ("--file", "/share/a.crt", f"{tmp_path}/a")
    assert write(*first, *second, "--join", "/etc/bundle", "/share/*.crt") == 0

    assert names(tmp_path) == ["etc/bundle"]
    assert programs(tmp_path) == []
    with tarfile.open(tmp_path / "layer") as archive:
        stream = archive.extractfile("etc/bundle")
        assert stream is not None
        assert stream.read() == b"a\nb\n"


def test_a_program_can_be_run_and_a_file_cannot(write: Write, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")

    source = f"{tmp_path}/x"
    assert write("--executable", "/usr/bin/x", source, "--file", "/etc/x", source) == 0

    with tarfile.open(tmp_path / "layer") as archive:
        modes = {member.name: member.mode for member in archive if member.isfile()}
    assert modes == {"usr/bin/x": 0o755, "etc/x": 0o644}


def test_joining_nothing_is_an_error(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert write("--join", "/etc/bundle", "/share/*.crt") == 1

    assert "no file matches /share/*.crt" in capsys.readouterr().err


def test_links_folders_and_sources_are_made(write: Write, tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text("x = 1\n")

    code = write(
        *("--file", "/app/m.py", f"{tmp_path}/m.py"),
        *("--symlink", "/usr/bin/python3", "python3.13"),
        *("--directory=/tmp", "--compile=/app", "--origin=//image:app"),
    )

    assert code == 0
    assert names(tmp_path) == ["app/__pycache__/m.cpython-313.pyc", "app/m.py", "usr/bin/python3"]
    found = rows(tmp_path)
    assert {row["origin"] for row in found.values()} == {"//image:app"}
    made = {path: row["made_of"] for path, row in found.items() if "made_of" in row}
    assert made == {"/app/__pycache__/m.cpython-313.pyc": ["/app/m.py"]}
    assert found["/tmp"]["type"] == "directory"


def test_a_file_of_a_wheel_is_said_to_come_from_it(write: Write, tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text("x = 1\n")

    root = "../hub_one/site-packages"
    code = write(
        *("--runfile", f"{root}/one.py", f"{tmp_path}/m.py"),
        *("--runfile", f"{root}/One-1.0.dist-info/METADATA", f"{tmp_path}/m.py"),
        *("--import-root", "hub_one/site-packages", "--packages-path=/lib", "--compile=/lib"),
        "--origin=//image:packages",
    )

    assert code == 0
    assert programs(tmp_path) == []
    found = rows(tmp_path)
    origins = {path: row["origin"] for path, row in found.items() if row["type"] == "file"}
    assert origins == {
        "/lib/One-1.0.dist-info/METADATA": "one==1.0",
        "/lib/__pycache__/one.cpython-313.pyc": "one==1.0",
        "/lib/one.py": "one==1.0",
    }


def test_joined_files_are_named_though_they_are_gone(write: Write, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a\n")

    assert write("--file", "/x/a.crt", f"{tmp_path}/a", "--join", "/bundle", "/x/*.crt") == 0

    assert rows(tmp_path)["/bundle"]["made_of"] == ["/x/a.crt"]


MACHINES: list[dict[str, str]] = [
    {"TZ": "UTC", "LC_ALL": "C", "PYTHONHASHSEED": "0", "HOME": "/root"},
    {"TZ": "Pacific/Kiritimati", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "77", "HOME": "/"},
]


def test_the_machine_changes_no_byte(tmp_path: Path) -> None:
    layers = []
    for number, machine in enumerate(MACHINES):
        folder = tmp_path / f"{'long ' * number}folder"
        folder.mkdir()
        for module in range(250):
            (folder / f"m{module}.py").write_text(f"x = {{'a', 'b', {module}}}\nprint(x)\n")
        data = tar((member("./usr/bin/hello", 0o755), b"run" * 400_000))
        package(folder / "hello.deb", data)
        words = [f"--{name}={folder / name}" for name in ("layer", "descriptor", "contents")]
        words += [f"--deb={folder}/hello.deb", "--compile=/app"]
        for module in sorted(range(250), reverse=bool(number)):
            words += ["--file", f"/app/m{module}.py", f"{folder}/m{module}.py"]
        (folder / "arguments").write_text("\n".join(words))
        mask = os.umask(0o077 if number else 0o022)
        try:
            subprocess.run(
                # One core writes what two cores write.
                ["taskset", "-c", str(min(os.sched_getaffinity(0)))] * number
                + [sys.executable, "-m", "rules.layers.writer", f"@{folder}/arguments"],
                check=True,
                env=machine | {"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)},
            )
        finally:
            os.umask(mask)
        layers.append((folder / "layer").read_bytes())

    assert layers[0] == layers[1]


def test_an_exclusion_without_a_reason_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text('[exclude]\n"/usr/*" = ""\n')

    with pytest.raises(LayerError, match=r"x.toml: '/usr/\*': expected an absolute glob"):
        Exclusions([tmp_path / "x.toml"])


def test_an_exclusion_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("exclude: []\n")

    with pytest.raises(LayerError, match=r"x\.toml: not TOML"):
        Exclusions([tmp_path / "x.toml"])


def test_exclusions_of_several_files_count_together(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).write_text(
            f'[exclude]\n"/{name}/*" = "not wanted"\n[keep]\n"/*/{name}" = "wanted"\n'
        )

    exclusions = Exclusions([tmp_path / "first", tmp_path / "second"])

    paths = [
        f"{place}/{name}" for place in ("first", "second") for name in ("x", "first", "second")
    ]
    assert [path for path in paths if path in exclusions] == ["first/x", "second/x"]


@pytest.mark.parametrize("missing", ["layer", "descriptor", "contents"])
def test_every_output_has_to_be_named(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = [f"--{name}=x" for name in ("layer", "descriptor", "contents") if name != missing]
    monkeypatch.setattr("sys.argv", ["writer", *outputs])

    with pytest.raises(SystemExit) as caught:
        main()

    assert caught.value.code == 2
    assert f"required: --{missing}" in capsys.readouterr().err


def test_the_descriptor_is_written_and_each_row_of_the_contents_is_sorted(
    write: Write, tmp_path: Path
) -> None:
    (tmp_path / "x").write_text("x")

    assert write("--file", "/etc/x", f"{tmp_path}/x", "--origin=me") == 0

    packed = (tmp_path / "layer").read_bytes()
    descriptor = json.loads((tmp_path / "descriptor").read_text())
    assert descriptor["digest"] == f"sha256:{hashlib.sha256(packed).hexdigest()}"
    assert (descriptor["size"], descriptor["compression"]) == (len(packed), "gzip")
    # By path, and the members of a row by name: the same tree has the same text.
    for line in (tmp_path / "contents").read_text().splitlines():
        assert line == json.dumps(json.loads(line), sort_keys=True)


def test_a_module_to_run_has_to_be_in_the_layer(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.py").write_text("x = 1\n")
    words = ["--runfile", "room/__main__.py", f"{tmp_path}/m.py", "--sources-path=/app"]

    assert write(*words, "--module=room") == 0
    assert write(*words, "--module=rome") == 1

    assert "expected a module rome to run" in capsys.readouterr().err


def packed(folder: Path, name: str, files: dict[str, bytes], wheel: str = "") -> list[str]:
    """Arguments for the part of a wheel."""
    made = part.pack((path, File(content, False, wheel or name)) for path, content in files.items())
    (folder / f"{name}.gz").write_bytes(made.packed)
    (folder / f"{name}.jsonl").write_text(part.lines(made.rows))
    return ["--part", f"{folder}/{name}.gz", f"{folder}/{name}.jsonl"]


def test_wheels_follow_what_is_of_none_by_their_names(write: Write, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    last = packed(tmp_path, "two==1", {"lib/two.py": b"2"})
    first = packed(tmp_path, "one==1", {"lib/deep/one.py": b"1"})

    assert write("--file", "/lib/x", f"{tmp_path}/x", *last, *first, "--origin=me") == 0

    with tarfile.open(tmp_path / "layer") as archive:
        found = archive.getnames()
    assert found == ["lib", "lib/deep", "lib/x", "lib/deep/one.py", "lib/two.py"]
    # The contents are in the archive's order.
    assert list(rows(tmp_path)) == [f"/{name}" for name in found]
    origins = {path: row["origin"] for path, row in rows(tmp_path).items()}
    assert (origins["/lib"], origins["/lib/deep"]) == ("me", "one==1")


def test_two_wheels_that_disagree_on_a_file_are_both_named(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = packed(tmp_path, "one==1", {"lib/x.py": b"1"})
    two = packed(tmp_path, "two==1", {"lib/x.py": b"2"})

    assert write(*two, *one) == 1

    assert "/lib/x.py comes from one==1 and, different, two==1" in capsys.readouterr().err
    assert not (tmp_path / "layer").exists()


def test_a_file_that_two_wheels_have_is_there_once_and_of_the_first(
    write: Write, tmp_path: Path
) -> None:
    one = packed(tmp_path, "one==1", {"lib/x.py": b"x", "lib/y.py": b"y"})
    two = packed(tmp_path, "two==1", {"lib/x.py": b"x", "lib/z.py": b"z"})
    assert write(*one, *packed(tmp_path, "alone", {"lib/z.py": b"z"}, "two==1")) == 0
    alone = (tmp_path / "layer").read_bytes()

    assert write(*one, *two) == 0

    assert names(tmp_path) == ["lib/x.py", "lib/y.py", "lib/z.py"]
    assert rows(tmp_path)["/lib/x.py"]["origin"] == "one==1"
    # A wheel that is packed anew has the bytes of one that had never had the file.
    assert (tmp_path / "layer").read_bytes() == alone


def test_a_wheel_of_which_another_has_all_is_not_there(write: Write, tmp_path: Path) -> None:
    one = packed(tmp_path, "one==1", {"lib/x.py": b"x", "lib/y.py": b"y"})
    assert write(*one) == 0
    alone = (tmp_path / "layer").read_bytes()

    again = packed(tmp_path, "two==1", {"lib/y.py": b"y"})
    assert write(*one, *again, *packed(tmp_path, "empty", {})) == 0

    assert (tmp_path / "layer").read_bytes() == alone


def test_a_wheels_file_below_anothers_is_an_error(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = packed(tmp_path, "one==1", {"lib/x": b"1"})
    two = packed(tmp_path, "two==1", {"lib/x/y": b"2"})

    assert write(*one, *two) == 1

    said = capsys.readouterr().err
    assert "/lib/x/y from two==1 lies below /lib/x, which one==1 makes no directory" in said
