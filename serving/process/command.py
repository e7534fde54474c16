"""The commands of `python -m SERVICE`: the ones every service has, and its own."""

import argparse
import gc
import json
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serving.identity import Identity
from serving.process.settings import ServiceSettings
from serving.settings.errors import SettingsError
from serving.settings.load import load

if TYPE_CHECKING:
    from serving.web.application import Application

# sysexits.h.
EX_CONFIG = 78


@dataclass(frozen=True, kw_only=True)
class Command[S: ServiceSettings]:
    """A command of a service's own.

    Attributes:
        name: what is typed.
        about: its help.
        run: does it with valid settings and returns the exit code.
    """

    name: str
    about: str
    run: Callable[[S], int]


def main[S: ServiceSettings](
    identity: Identity,
    settings: type[S],
    application: Callable[[S], "Application"],
    commands: Sequence[Command[S]] = (),
) -> int:
    """Run the command that was typed; without one, serve.

    Args:
        identity: what the service is called.
        settings: the class of its settings, made of sections.
        application: makes it. It should import what it needs when it is called: the process that
            supervises several workers never does, and the metrics library has to be told of them
            before it is imported.
        commands: its own, besides serve, check-config, new-key, openapi, problems,
            metrics and configuration.

    Returns:
        The exit code.
    """
    own = {command.name: command for command in commands}
    arguments = _parser(identity, commands).parse_args()
    if arguments.command == "new-key":
        return _new_key(settings, arguments.name)
    if arguments.command == "openapi":
        print(json.dumps(application(settings()).openapi(), indent=2, sort_keys=True))
        return 0
    if arguments.command == "problems":
        return _problems(identity, application(settings()))
    if arguments.command == "metrics":
        return _metrics(identity, application(settings()))
    if arguments.command == "configuration":
        return _configuration(identity, settings)
    try:
        loaded = load(settings)
    except SettingsError as error:
        print(*error.problems, sep="\n", file=sys.stderr)
        return EX_CONFIG
    if arguments.command == "check-config":
        for name, value in loaded.shown().items():
            print(f"{name}={value}")
        return 0
    if arguments.command in own:
        return own[arguments.command].run(loaded)
    _serve(loaded, application)
    return 0


def _parser[S: ServiceSettings](
    identity: Identity, commands: Sequence[Command[S]]
) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m {identity.module}", description=f"The service {identity.name}."
    )
    names = parser.add_subparsers(dest="command", metavar="COMMAND")
    names.add_parser("serve", help="serve until SIGTERM (the default)")
    for command in commands:
        names.add_parser(command.name, help=command.about)
    names.add_parser("check-config", help="check the settings and print them, secrets masked")
    key = names.add_parser("new-key", help="make an API key and its entry for API_KEYS")
    key.add_argument("name", help="whose key it is; it appears in logs")
    names.add_parser("openapi", help="print the OpenAPI document")
    names.add_parser("problems", help="print the page about the types of problems, in Markdown")
    names.add_parser("metrics", help="print the page about the metrics, in Markdown")
    names.add_parser("configuration", help="print the page about the settings, in Markdown")
    return parser


def _serve[S: ServiceSettings](settings: S, application: Callable[[S], "Application"]) -> None:
    from serving.process.supervisor import serve  # noqa: PLC0415

    def work(listener: socket.socket) -> None:
        # What is made now stays to the end: to look through it for garbage, now and later, is time
        # lost.
        gc.disable()
        from serving.process.server import run  # noqa: PLC0415

        app = application(settings)
        gc.freeze()
        gc.enable()
        run(app, settings, settings, settings, listener)

    serve(settings, settings, work)


def _new_key(settings: type[ServiceSettings], name: str) -> int:
    from serving.web.security import new_key  # noqa: PLC0415

    key, entry = new_key(name)
    try:
        settings(api_keys=(entry,))
    except ValueError:
        print(f"name: got {name!r}; expected 1 to 64 of A-Z a-z 0-9 _ . -", file=sys.stderr)
        return EX_CONFIG
    print(f"key, for the client:   {key}\nentry, for API_KEYS:   {entry}")
    return 0


def _problems(identity: Identity, application: "Application") -> int:
    from serving.web.catalogue import page  # noqa: PLC0415

    print(page(application.problem_types, identity.module), end="")
    return 0


def _metrics(identity: Identity, application: "Application") -> int:
    from serving.process.connection import RefusalMetrics  # noqa: PLC0415
    from serving.watch.reference import reference  # noqa: PLC0415

    # What the server adds to the application's own.
    RefusalMetrics(application.registry)
    print(reference(application.registry, identity.module), end="")
    return 0


def _configuration(identity: Identity, settings: type[ServiceSettings]) -> int:
    from serving.settings.reference import reference  # noqa: PLC0415

    print(reference(identity, settings), end="")
    return 0
