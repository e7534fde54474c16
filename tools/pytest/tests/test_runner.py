"""pytest under Bazel: shards, filters, reports, and no success without a test."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

import pytest

from tools.pytest import runner

TWO = "def test_one():\n    pass\n\ndef test_two():\n    pass\n"

# A process that has imported pytest, and is forked for each run: importing takes longer than a run.
READY = multiprocessing.get_context("forkserver")
READY.set_forkserver_preload(["anyio.pytest_plugin", "tools.pytest.runner"])


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    (tmp_path / "tmp").mkdir()
    return tmp_path


def environment(folder: Path, variables: Mapping[str, str]) -> dict[str, str]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SSL_", "TEST_", "XML_", "TESTBRIDGE_"))
    }
    return {**inherited, "TEST_TMPDIR": str(folder / "tmp"), **variables}


def forked(folder: Path, environment: Mapping[str, str], outputs: Mapping[int, Path]) -> None:
    for number, file in outputs.items():
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.exit(runner.main(["test_it.py"]))


def run(folder: Path, text: str, **variables: str) -> Done:
    (folder / "test_it.py").write_text(text)
    outputs = {number: folder.with_name(f"{folder.name}.{number}") for number in (1, 2)}
    arguments = (folder, environment(folder, variables), outputs)
    process = READY.Process(target=forked, args=arguments)
    process.start()
    process.join()
    assert process.exitcode is not None
    return Done(process.exitcode, *(file.read_text() for file in outputs.values()))


@pytest.mark.parametrize(("asserted", "code"), [("1 == 1", 0), ("1 == 2", 1)])
def test_the_program_exits_zero_if_tests_pass_and_one_if_one_fails(
    folder: Path, asserted: str, code: int
) -> None:
    (folder / "test_it.py").write_text(f"def test_it():\n    assert {asserted}\n")
    command = [sys.executable, str(Path("tools/pytest/runner.py").absolute()), "test_it.py"]
    done = subprocess.run(
        command, cwd=folder, env=environment(folder, {}), capture_output=True, check=False
    )
    assert done.returncode == code


def test_passing_tests_exit_zero(folder: Path) -> None:
    assert run(folder, TWO).returncode == 0


def test_a_failing_test_exits_one(folder: Path) -> None:
    assert run(folder, "def test_it():\n    assert 1 == 2\n").returncode == 1


def test_a_file_without_tests_is_an_error(folder: Path) -> None:
    done = run(folder, "VALUE = 1\n")
    assert done.returncode == 5
    assert "no test ran" in done.stderr


def test_tests_that_are_all_skipped_are_an_error(folder: Path) -> None:
    skipped = "import pytest\n\n@pytest.mark.skip\ndef test_it():\n    pass\n"
    assert run(folder, skipped).returncode == 5


def test_an_expected_failure_counts_as_a_test_that_ran(folder: Path) -> None:
    expected = "import pytest\n\n@pytest.mark.xfail\ndef test_it():\n    assert False\n"
    assert run(folder, expected).returncode == 0


def test_no_certificate_authority_is_trusted_but_those_that_a_test_names(folder: Path) -> None:
    empty = "import os\n\ndef test_it():\n    assert os.listdir(os.environ['SSL_CERT_DIR']) == []\n"
    named = "import os\n\ndef test_it():\n    assert os.environ['SSL_CERT_DIR'] == '/named'\n"
    assert run(folder, empty).returncode == 0
    assert run(folder, named, SSL_CERT_DIR="/named").returncode == 0


def test_the_filter_selects_by_name(folder: Path) -> None:
    done = run(folder, TWO, TESTBRIDGE_TEST_ONLY="test_two")
    assert "1 passed, 1 deselected" in done.stdout


def test_a_filter_that_matches_nothing_is_an_error(folder: Path) -> None:
    assert run(folder, TWO, TESTBRIDGE_TEST_ONLY="test_three").returncode == 5


def test_the_report_names_every_test(folder: Path) -> None:
    report = folder / "report.xml"
    run(folder, TWO, XML_OUTPUT_FILE=str(report))
    cases = ET.parse(report).iter("testcase")
    assert [case.get("name") for case in cases] == ["test_one", "test_two"]


def test_shards_run_each_test_once(folder: Path) -> None:
    outputs = [
        run(folder, TWO, TEST_TOTAL_SHARDS="2", TEST_SHARD_INDEX=index).stdout for index in "01"
    ]
    assert all("1 passed, 1 deselected" in output for output in outputs)


def test_a_shard_without_tests_passes_and_says_that_it_knows_shards(folder: Path) -> None:
    status = folder / "status"
    done = run(
        folder,
        TWO,
        TEST_TOTAL_SHARDS="3",
        TEST_SHARD_INDEX="2",
        TEST_SHARD_STATUS_FILE=str(status),
    )
    assert done.returncode == 0
    assert status.exists()


def test_nothing_is_left_beside_the_tests(folder: Path) -> None:
    run(folder, "def test_it(tmp_path):\n    (tmp_path / 'a').touch()\n")
    left = sorted(path.name for path in folder.iterdir())
    assert left == ["pyproject.toml", "test_it.py", "tmp"]


def test_temporary_folders_are_below_the_one_that_bazel_gives(folder: Path) -> None:
    shown = "def test_it(tmp_path):\n    print(tmp_path)\n    assert False\n"
    assert f"{folder}/tmp/pytest/test_it0" in run(folder, shown).stdout


def test_garbage_is_looked_for_among_what_tests_make(folder: Path) -> None:
    looked = "assert gc.isenabled()\n    assert gc.get_freeze_count() > 10_000\n"
    assert run(folder, f"import gc\n\ndef test_it():\n    {looked}").returncode == 0


def test_an_error_of_what_became_garbage_is_told(folder: Path) -> None:
    # Where wheels name their files, pytest says that a plugin is imported already, as it is here.
    ignored = "ignore::pytest.PytestAssertRewriteWarning"
    (folder / "pyproject.toml").write_text(
        f"[tool.pytest.ini_options]\nfilterwarnings = ['error', '{ignored}']\n"
    )
    made = (
        "class Circle:\n    def __init__(self):\n        self.me = self\n"
        "    def __del__(self):\n        raise ValueError('told')\n\n"
        "def test_it():\n    Circle()\n"
    )
    done = run(folder, made)
    assert done.returncode != 0
    assert "ValueError: told" in done.stdout + done.stderr
