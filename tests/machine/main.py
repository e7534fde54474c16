"""Runs a container test in a virtual machine; this program is also the machine's process 1."""

import os
import sys
from pathlib import Path

from tests.container import main as container
from tests.container import patience
from tests.machine import emulator, guest
from tests.machine.emulator import AccelerationError, MachineError, Share
from tests.machine.job import EXIT_CODE, RESULTS, STARTED, Job

# Names the job in the virtual machine; outside there is none.
JOB = "MACHINE_JOB"
# "kvm" or "tcg", where the choice is not to be left to the machine.
ACCELERATOR = "MACHINE_ACCELERATOR"
# Of Bazel's time limit, what is left to say that it was exceeded.
_SPARE_SECONDS = 10.0
# By software the longest takes five minutes if nothing else runs; a hang is not worth an hour.
_MOST_SECONDS = 1800.0
_PATIENCE = {"kvm": 1, "tcg": 8}
_SLOW = "the virtual machine runs by software, which takes longer"


def main() -> int:
    """Returns the tests' exit code, 1 where the virtual machine failed."""
    scratch = Path(os.environ["TEST_TMPDIR"]).absolute()
    results = scratch / "machine"
    results.mkdir()
    try:
        _boot(scratch, results)
        code = int((results / EXIT_CODE.name).read_text())
    except MachineError as error:
        print(error, file=sys.stderr)
        return 1
    except FileNotFoundError:
        print("the virtual machine ended before its tests did: see above", file=sys.stderr)
        return 1
    if report := os.environ.get("XML_OUTPUT_FILE"):
        emulator.copy_out(results / "test.xml", Path(report))
    return code


def _boot(scratch: Path, results: Path) -> None:
    """Boots by KVM where that works, else by software."""
    chosen = os.environ.get(ACCELERATOR)
    acceleration = chosen or emulator.accelerator()
    if acceleration == "tcg" and not chosen:
        _say(f"{emulator.KVM} is not there, or not this user's: {_SLOW}")
    try:
        _boot_by(acceleration, scratch, results)
    except AccelerationError as error:
        if chosen:
            raise
        _say(f"{error}: {_SLOW}")
        _boot_by("tcg", scratch, results)


def _boot_by(acceleration: str, scratch: Path, results: Path) -> None:
    environment = {
        **os.environ,
        "HOME": str(scratch),
        "TEST_TMPDIR": str(scratch),
        "TMPDIR": str(scratch),
        "XML_OUTPUT_FILE": str(RESULTS / "test.xml"),
        patience.VARIABLE: str(_PATIENCE[acceleration]),
    }
    job = results / "job.json"
    Job(sys.argv[1:], environment, str(Path.cwd()), str(scratch)).write(job)
    emulator.boot(
        Path(os.environ["MACHINE"]).absolute(),
        Path.cwd() / os.environ["TEST_BINARY"],
        {JOB: str(job)},
        [Share(RESULTS.name, results, read_only=False)],
        acceleration=acceleration,
        seconds=min(_MOST_SECONDS, float(os.environ.get("TEST_TIMEOUT", "600")) - _SPARE_SECONDS),
        started=(results / STARTED.name).exists,
    )


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    if JOB in os.environ:
        guest.run(Path(os.environ[JOB]), container.main)
    sys.exit(main())
