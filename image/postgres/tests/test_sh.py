"""The stand-in for a shell runs one command with redirections, and refuses all else."""

import subprocess
import sys
from pathlib import Path

import pytest

from image.postgres import sh
from tools.dev.process import python_command

# Shows its arguments and standard input, and writes to both outputs.
SHOW = "import sys; print(sys.argv[1:], sys.stdin.read()); print('told', file=sys.stderr)"


def run(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*python_command(), sh.__file__, *arguments],
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("command", "words", "redirections"),
    [
        ("postgres --version", ["postgres", "--version"], []),
        ("'/a b/postgres' -D \"/c d\"", ["/a b/postgres", "-D", "/c d"], []),
        ("postgres < in", ["postgres"], [(0, "<", "in")]),
        ("postgres > out", ["postgres"], [(1, ">", "out")]),
        ("postgres >> out", ["postgres"], [(1, ">>", "out")]),
        ("postgres > out 2>&1", ["postgres"], [(1, ">", "out"), (2, ">&", "1")]),
        ("postgres 2>err", ["postgres"], [(2, ">", "err")]),
        ("exec postgres -D x", ["postgres", "-D", "x"], []),
        ("postgres -c 2", ["postgres", "-c", "2"], []),
    ],
)
def test_words_and_redirections_are_told_apart(
    command: str, words: list[str], redirections: list[tuple[int, str, str]]
) -> None:
    assert sh.parse(command) == (words, redirections)


@pytest.mark.parametrize(
    "command",
    [
        "postgres | cat",
        "postgres && true",
        "postgres; true",
        "postgres &",
        "(postgres)",
        "postgres $HOME",
        "postgres `id`",
        "postgres $(id)",
        "postgres >",
        "cat << end",
        "",
        "exec",
        "> out",
    ],
)
def test_what_only_a_shell_could_do_is_refused(command: str) -> None:
    with pytest.raises(ValueError, match="needs a shell, and there is none"):
        sh.parse(command)


def test_it_becomes_the_command(tmp_path: Path) -> None:
    script = tmp_path / "show.py"
    script.write_text(SHOW)
    python = " ".join(f"'{word}'" for word in python_command())
    (tmp_path / "in").write_text("read")

    done = run("-c", f"{python} {script} 'a b' < {tmp_path}/in > {tmp_path}/out 2>&1")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted((tmp_path / "out").read_text().splitlines()) == ["['a b'] read", "told"]


def test_appending_keeps_what_was_there(tmp_path: Path) -> None:
    python = " ".join(f"'{word}'" for word in python_command())
    out = tmp_path / "out"
    out.write_text("before\n")

    run("-c", f"{python} -c 'print(1)' >> {out}")

    assert out.read_text() == "before\n1\n"


def test_what_it_writes_is_its_owners_alone(tmp_path: Path) -> None:
    python = " ".join(f"'{word}'" for word in python_command())

    run("-c", f"{python} -V > {tmp_path}/out")

    assert (tmp_path / "out").stat().st_mode & 0o077 == 0


def test_the_commands_exit_code_is_its_own() -> None:
    python = " ".join(f"'{word}'" for word in python_command())

    assert run("-c", f"{python} -c 'raise SystemExit(3)'").returncode == 3


def test_the_dashes_that_popen_adds_are_no_command() -> None:
    python = " ".join(f"'{word}'" for word in python_command())

    assert run("-c", "--", f"{python} -V").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-c", "/no/such/program"), "sh: [Errno 2]"),
        (("-c", "true < /no/such/file"), "sh: [Errno 2]"),
        (("-c", "true | true"), "sh: '|' in 'true | true' needs a shell"),
        (("-x", "true"), "sh: expected -c and a command, got '-x'"),
        ((), "sh: "),
    ],
)
def test_what_it_cannot_do_exits_127_as_a_shell_does(arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments)

    assert done.returncode == 127
    assert done.stderr.startswith(said)
    assert "Traceback" not in done.stderr


def test_it_is_started_by_the_images_interpreter() -> None:
    first = Path(sh.__file__).read_text().partition("\n")[0]

    assert first == f"#!/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
