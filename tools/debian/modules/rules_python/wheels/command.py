"""The command line that the repository rules call."""

import argparse
import json
import os
import sys
from pathlib import Path

from tools.debian.modules.rules_python.wheels import lock, repository, store
from tools.debian.modules.rules_python.wheels.error import WheelError
from tools.debian.modules.rules_python.wheels.store import Store
from tools.debian.modules.rules_python.wheels.target import Target
from tools.locks import wheels
from tools.locks.error import LockError


def main(arguments: list[str]) -> int:
    """Does what is asked; returns 1, with a reason on standard error, where that cannot be."""
    parser = argparse.ArgumentParser(prog="wheels")
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser(
        "list", help="print locks as JSON: of each a table of platform, package and pin"
    )
    listing.add_argument(
        "--lock",
        required=True,
        nargs="+",
        action="append",
        help="a path, what errors call it, MAJOR.MINOR of the target, platforms",
    )
    fetching = commands.add_parser("fetch", help="fill the repository of one wheel")
    fetching.add_argument("--python", required=True, help="MAJOR.MINOR of the target")
    fetching.add_argument("--platform", required=True)
    fetching.add_argument("--hub", required=True, help="name of the repository of aliases")
    fetching.add_argument("--name", required=True)
    fetching.add_argument("--version", required=True)
    fetching.add_argument("--extra", action="append", default=[])
    fetching.add_argument("--store", type=Path, help="where wheels are kept")
    fetching.add_argument("--sha256", action="append", required=True)
    options = parser.parse_args(arguments)
    try:
        if options.command == "list":
            print(json.dumps([_listing(*words) for words in options.lock]))
        else:
            _fetch(options)
    except (WheelError, LockError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _listing(file: str, shown: str, python: str, *platforms: str) -> dict[str, dict[str, object]]:
    try:
        pins = wheels.read(Path(file), shown)
    except LockError as error:
        # What writes it anew runs on wheels that it locks, and so needs one that can be read.
        raise LockError(
            f"{error}\nMend it, or take it from a commit: `git checkout HEAD -- {shown}`"
        ) from None
    return {
        target.platform: {
            name: {"version": pin.version, "extras": pin.extras, "sha256": pin.hashes}
            for name, pin in sorted(lock.chosen(pins, target, shown).items())
        }
        for target in (Target.of(platform, python) for platform in platforms)
    }


def _fetch(options: argparse.Namespace) -> None:
    pin = wheels.Pin(
        name=options.name,
        version=options.version,
        extras=tuple(options.extra),
        marker=None,
        hashes=tuple(options.sha256),
        line=0,
    )
    target = Target.of(options.platform, options.python)
    held = Store(options.store or store.default_folder(os.environ), target)
    repository.make(pin, target, options.hub, held, Path.cwd())
