"""The sample service as a process of its own.

The first start of a test program is cold, as in the image; those that follow are warm.
"""

import itertools
import subprocess
from typing import IO, ClassVar

from serving.tests import warm
from serving.tests.sample.identity import IDENTITY
from tools.dev import complaints, process

_starts = itertools.count()


def run_module(module: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command of a service to its end."""
    begin = warm.run if next(_starts) else process.run
    return begin(module, *arguments, **variables)


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the sample service to its end."""
    return run_module(IDENTITY.module, *arguments, **variables)


def imported(script: str) -> set[str]:
    """The modules that a fresh Python has imported after a script."""
    done = subprocess.run(
        [*process.python_command(), "-c", f"import sys\n{script}\nprint(*sys.modules)"],
        env=process.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def packages(modules: set[str]) -> set[str]:
    """The packages of the highest level that modules belong to."""
    return {name.partition(".")[0] for name in modules}


class Service(process.Running):
    """A service, served, whose complaints fail the test during which they come.

    Attributes:
        started: the services that may have complained since `new_complaints` was last asked.
    """

    started: ClassVar[list["Service"]] = []
    _is_cold: ClassVar[bool] = False

    def __init__(self, module: str, **variables: str) -> None:
        super().__init__(module, **variables)
        self._heard = 0
        self.started.append(self)

    def _start(self, module: str, variables: dict[str, str], log: IO[bytes]) -> process.Process:
        if not next(_starts) or self._is_cold:
            return super()._start(module, variables, log)
        return warm.start(module, environment=variables, stdout=log, stderr=log)

    @classmethod
    def new_complaints(cls) -> list[str]:
        """What all of them have complained of since the last call."""
        said: list[str] = []
        for one in cls.started:
            text = one.text
            said += complaints.found(text[one._heard :])
            one._heard = len(text)
        cls.started[:] = [one for one in cls.started if one.process.poll() is None]
        return said


class Running(Service):
    """The sample service, served; ended at the end of the block, if it has not by then."""

    def __init__(self, **variables: str) -> None:
        super().__init__(IDENTITY.module, **variables)


class ColdStarted(Running):
    """One that starts cold, whichever it is: for what is said of the start, and of memory."""

    _is_cold: ClassVar[bool] = True
