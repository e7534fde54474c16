"""Runs a container test in a virtual machine; this program is also the machine's process 1."""

import importlib
import os
import resource
import sys
from pathlib import Path

from tests.container import main as container
from tests.container import patience
from tests.machine import bytecode, emulator, guest, images
from tests.machine.emulator import AccelerationError, MachineError, Share
from tests.machine.job import EXIT_CODE, IMAGES, RESULTS, STARTED, Job
from tests.oci import layout

# Names the job in the virtual machine; outside there is none.
JOB = "MACHINE_JOB"
# "kvm" or "tcg", where the choice is not to be left to the machine.
ACCELERATOR = "MACHINE_ACCELERATOR"
# Names a module that has more to do before the machine boots: its `prepare` gets the folder of the
# unpacked images, and one to fill, which tests find by PREPARED.
PREPARE = "MACHINE_PREPARE"
PREPARED = "PREPARED"
# Below the test's folder for temporary files.
BYTECODE = "bytecode"
GUEST = "guest"
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
        _prepare(scratch)
        _boot(scratch, results)
        code = int((results / EXIT_CODE.name).read_text())
    except MachineError as error:
        print(error, file=sys.stderr)
        return 1
    except FileNotFoundError:
        print("the virtual machine ended before its tests did: see above", file=sys.stderr)
        return 1
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = spent.ru_utime + spent.ru_stime
    _say(f"The virtual machine and what it took to prepare it: {seconds:.0f} s of processors' time")
    if report := os.environ.get("XML_OUTPUT_FILE"):
        emulator.copy_out(results / "test.xml", Path(report))
    return code


def _prepare(scratch: Path) -> None:
    """Does outside of the virtual machine what need not be done in it."""
    (scratch / GUEST).mkdir()
    bytecode.write(scratch / BYTECODE, sys.argv[1:])
    for name, platform in (("IMAGE", os.environ.get("PLATFORM")), ("POSTGRES", None)):
        if folder := os.environ.get(name):
            image = layout.read(Path(folder), platform)
            images.unpack(image, scratch / IMAGES.name / name.lower())
    if module := os.environ.get(PREPARE):
        (scratch / PREPARED.lower()).mkdir()
        importlib.import_module(module).prepare(scratch / IMAGES.name, scratch / PREPARED.lower())


def _boot(scratch: Path, results: Path) -> None:
    """Boots by KVM where that works, else by software."""
    chosen = os.environ.get(ACCELERATOR)
    acceleration = chosen or emulator.accelerator()
    if acceleration == "tcg" and not chosen:
        _say(f"{emulator.KVM} is not there, not this user's, or for other kernels: {_SLOW}")
    try:
        _boot_by(acceleration, scratch, results)
    except AccelerationError as error:
        if chosen:
            raise
        _say(f"{error}: {_SLOW}")
        _boot_by("tcg", scratch, results)


def _boot_by(acceleration: str, scratch: Path, results: Path) -> None:
    # In the virtual machine a file system in memory lies over it.
    guests = str(scratch / GUEST)
    environment = {
        **os.environ,
        "HOME": guests,
        "TEST_TMPDIR": guests,
        "TMPDIR": guests,
        "XML_OUTPUT_FILE": str(RESULTS / "test.xml"),
        PREPARED: str(scratch / PREPARED.lower()),
        patience.VARIABLE: str(_PATIENCE[acceleration]),
    }
    job = results / "job.json"
    Job(sys.argv[1:], environment, str(Path.cwd()), guests).write(job)
    emulator.boot(
        Path(os.environ["MACHINE"]).absolute(),
        Path.cwd() / os.environ["TEST_BINARY"],
        {JOB: str(job), bytecode.VARIABLE: str(scratch / BYTECODE)},
        [
            Share(RESULTS.name, results, read_only=False),
            Share(IMAGES.name, scratch / IMAGES.name, as_root=True),
        ],
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
