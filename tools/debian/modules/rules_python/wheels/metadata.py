"""What a wheel says of itself: its name, its version, and what it needs of other packages."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.metadata import parse_email
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from tools.debian.modules.rules_python.wheels.error import WheelError
from tools.locks.wheels import label_name

# Each package needed, with the extras of it that are needed.
Needs = dict[str, frozenset[str]]


@dataclass(frozen=True)
class Metadata:
    """The fields of METADATA that decide what a package depends on (core metadata, version 2)."""

    name: str
    version: str
    extras: tuple[str, ...]
    requirements: tuple[Requirement, ...]


def read(file: Path) -> Metadata:
    """Reads a METADATA file.

    Raises:
        WheelError: it has no name or version, or a requirement that is none.
    """
    raw, _ = parse_email(file.read_bytes())
    try:
        return Metadata(
            name=label_name(raw["name"]),
            version=raw["version"],
            extras=tuple(sorted({canonicalize_name(x) for x in raw.get("provides_extra", [])})),
            requirements=tuple(Requirement(text) for text in raw.get("requires_dist", [])),
        )
    except KeyError as error:
        raise WheelError(f"{file}: no {error} in it") from None
    except InvalidRequirement as error:
        raise WheelError(f"{file}: {error}") from None


def needs(metadata: Metadata, extras: frozenset[str], markers: Mapping[str, str]) -> Needs:
    """What a package with some of its extras needs, in an environment of markers (PEP 508).

    A package may name itself, with other extras; those count as asked for.
    """
    found: dict[str, frozenset[str]] = {}
    asked = extras
    while True:
        for requirement in metadata.requirements:
            if _applies(requirement, asked, markers):
                name = label_name(requirement.name)
                wanted = frozenset(canonicalize_name(extra) for extra in requirement.extras)
                found[name] = found.get(name, frozenset()) | wanted
        more = asked | found.pop(metadata.name, frozenset())
        if more == asked:
            return found
        asked = more


def _applies(requirement: Requirement, extras: frozenset[str], markers: Mapping[str, str]) -> bool:
    if requirement.marker is None:
        return True
    return any(
        requirement.marker.evaluate({**markers, "extra": extra}) for extra in ("", *sorted(extras))
    )
