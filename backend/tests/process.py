"""The todo service as a process of its own, as it runs in the image."""

import subprocess

from serving.tests.process import Service
from tools.dev import process

MODULE = "backend"


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the service to its end."""
    return process.run(MODULE, *arguments, **variables)


class Running(Service):
    """The service, served; ended at the end of the block, if it has not ended by then."""

    def __init__(self, **variables: str) -> None:
        super().__init__(MODULE, **variables)
