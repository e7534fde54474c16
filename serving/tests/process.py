"""The sample service as a process of its own."""

import subprocess
from typing import ClassVar

from serving.tests.sample.identity import IDENTITY
from tools.dev import complaints, process


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the sample service to its end."""
    return process.run(IDENTITY.module, *arguments, **variables)


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

    def __init__(self, module: str, **variables: str) -> None:
        super().__init__(module, **variables)
        self._heard = 0
        self.started.append(self)

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
