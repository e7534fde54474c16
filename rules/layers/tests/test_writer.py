"""A layer: its archive, its digests, what stays out."""

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rules.layers.exclusions import Exclusions
from rules.layers.tests.test_deb import member, package, tar
from rules.layers.tree import LayerError
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


def test_joined_files_make_one_in_order(write: Write, tmp_path: Path) -> None:
    for name in "ba":
        (tmp_path / name).write_text(f"{name}\n\n")

    first = ("--file", "/share/b.crt", f"{tmp_path}/b")
    second = ("--file", "/share/a.crt", f"{tmp_path}/a")
    assert write(*first, *second, "--join", "/etc/bundle", "/share/*.crt") == 0

    assert names(tmp_path) == ["etc/bundle"]
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
    rows = [json.loads(line) for line in (tmp_path / "contents").read_text().splitlines()]
    assert {row["origin"] for row in rows} == {"//image:app"}
    made = {row["path"]: row["made_of"] for row in rows if "made_of" in row}
    assert made == {"/app/__pycache__/m.cpython-313.pyc": ["/app/m.py"]}


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
    rows = [json.loads(line) for line in (tmp_path / "contents").read_text().splitlines()]
    origins = {row["path"]: row["origin"] for row in rows if row["type"] == "file"}
    assert origins == {
        "/lib/One-1.0.dist-info/METADATA": "one==1.0",
        "/lib/__pycache__/one.cpython-313.pyc": "one==1.0",
        "/lib/one.py": "one==1.0",
    }


def test_joined_files_are_named_though_they_are_gone(write: Write, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a\n")

    assert write("--file", "/x/a.crt", f"{tmp_path}/a", "--join", "/bundle", "/x/*.crt") == 0

    (row,) = [json.loads(line) for line in (tmp_path / "contents").read_text().splitlines()]
    assert row["made_of"] == ["/x/a.crt"]


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
