"""The todo service as a process of its own, as it runs in the image."""

import subprocess
from typing import ClassVar

from serving.tests.process import Service, run_module

MODULE = "backend"


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the service to its end."""
    return run_module(MODULE, *arguments, **variables)


class Running(Service):
    """The service, served; ended at the end of the block, if it has not ended by then."""

    def __init__(self, **variables: str) -> None:
        super().__init__(MODULE, **variables)


class ColdStarted(Running):
    """One that starts cold, whichever it is: for what is said of its memory."""

    _is_cold: ClassVar[bool] = True
