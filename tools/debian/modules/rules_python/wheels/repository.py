"""The repository of one wheel: its files, and a BUILD file that says what it depends on."""

import json
from pathlib import Path

from tools.debian.modules.rules_python.wheels import archive, metadata
from tools.debian.modules.rules_python.wheels.error import WheelError
from tools.debian.modules.rules_python.wheels.index import Wanted, sha256
from tools.debian.modules.rules_python.wheels.metadata import Metadata, Needs
from tools.debian.modules.rules_python.wheels.store import Store
from tools.debian.modules.rules_python.wheels.target import Target
from tools.locks.wheels import Pin


def make(pin: Pin, target: Target, hub: str, store: Store, folder: Path) -> None:
    """Lays the repository of a wheel out in a folder.

    Raises:
        WheelError: the wheel cannot be had, or is not the one that was asked for.
    """
    wheel = store.wheel(Wanted(pin.requirement, pin.hashes))
    described = metadata.read(archive.unpack(wheel, folder))
    if (described.name, described.version) != (pin.name, pin.version):
        raise WheelError(
            f"{wheel.name}: its METADATA is of {described.name} {described.version}; "
            f"expected {pin.name} {pin.version}"
        )
    text = build_file(described, sha256(wheel), frozenset(pin.extras), target, hub)
    (folder / "BUILD.bazel").write_text(text)


def build_file(
    described: Metadata, digest: str, extras: frozenset[str], target: Target, hub: str
) -> str:
    """The text of BUILD.bazel for a package with the extras that the lock asks for.

    `digest` is the sha256 of its wheel, in hex.
    """
    markers = target.markers()
    base = metadata.needs(described, extras, markers)
    optional = {
        extra: _beyond(base, metadata.needs(described, extras | {extra}, markers))
        for extra in described.extras
        if extra not in extras
    }
    arguments = {
        "package": described.name,
        "version": described.version,
        "sha256": digest,
        "platform": target.platform,
        "deps": _labels(base),
        "extras": {extra: _labels(more) for extra, more in optional.items()},
    }
    lines = "".join(f"    {name} = {json.dumps(value)},\n" for name, value in arguments.items())
    return (
        'load("@rules_python//wheels:library.bzl", "wheel_library")\n'
        f'load("@{hub}//:lock.bzl", "LOCK")\n\n'
        f'wheel_library(\n    name = "pkg",\n'
        f"{lines}    lock = LOCK,\n)\n"
    )


def _beyond(base: Needs, needs: Needs) -> Needs:
    """What is needed on top of the base."""
    return {name: extras for name, extras in needs.items() if base.get(name) != extras}


def _labels(needs: Needs) -> dict[str, list[str]]:
    return {name: sorted(needs[name]) for name in sorted(needs)}
