"""The virtual machine's command line, with and without KVM."""

from pathlib import Path

import pytest

from tests.machine import emulator
from tests.machine.emulator import MachineError

INIT = Path("/opt/service")


def test_the_kernel_is_told_its_root_and_its_first_process() -> None:
    line = emulator.command_line(INIT, {"JOB": "/tmp/job.json"})

    assert line.startswith("root=root rootfstype=virtiofs ro ")
    assert line.endswith(" init=/opt/service JOB=/tmp/job.json")


@pytest.mark.parametrize("path", ["/with space", '/with"quote'])
def test_what_a_kernel_parameter_cannot_hold_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="expected no spaces or quotes"):
        emulator.command_line(Path(path), {})


def test_parameters_that_the_kernel_would_cut_off_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter than 2048, got 21"):
        emulator.command_line(INIT, {"JOB": "x" * 2000})


def test_software_stands_in_for_a_processor_that_may_not_be_used(tmp_path: Path) -> None:
    (tmp_path / "kvm").touch()

    assert emulator.accelerator(tmp_path / "kvm", tmp_path / "pvm") == "kvm"
    assert emulator.accelerator(tmp_path / "missing", tmp_path / "pvm") == "tcg"


def test_software_stands_in_where_the_processor_runs_other_kernels_alone(tmp_path: Path) -> None:
    (tmp_path / "kvm").touch()
    (tmp_path / "pvm").mkdir()

    assert emulator.accelerator(tmp_path / "kvm", tmp_path / "pvm") == "tcg"


def test_a_tree_without_a_virtual_machine_is_named(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=rf"{tmp_path} was expected to hold a virtual machine"):
        emulator.boot(tmp_path, INIT, {}, [], acceleration="tcg", seconds=5, started=lambda: False)
