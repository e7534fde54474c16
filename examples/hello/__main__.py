"""`python -m examples.hello`: greets, or runs one of the commands that every service has."""

import sys
from typing import TYPE_CHECKING

from examples.hello.identity import IDENTITY
from examples.hello.settings import Settings
from serving.process.command import main

if TYPE_CHECKING:
    from serving.web.application import Application


def application(settings: Settings) -> "Application":
    """The application, imported where it is needed: not by the process that supervises several."""
    from examples.hello.app import create_app  # noqa: PLC0415

    return create_app(settings)


if __name__ == "__main__":
    sys.exit(main(IDENTITY, Settings, application))
