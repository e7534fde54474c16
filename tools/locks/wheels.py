"""The lock of wheels: which version of each package, with the hashes its files may have."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from tools.locks.error import LockError

_COMMENT = re.compile(r"(^|\s)#.*$")
_OPTION = re.compile(r"\s--(?=[a-z])")
_HASH = re.compile(r"hash=(\w+):(\w+)")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Pin:
    """One package at one version.

    `name` is normalised as labels spell it, with underscores; `hashes` are the sha256, in hex, of
    every file that the package's authors published for the version.
    """

    name: str
    version: str
    extras: tuple[str, ...]
    marker: Marker | None
    hashes: tuple[str, ...]
    line: int

    @property
    def requirement(self) -> str:
        """Name and version, as pip reads them."""
        return f"{self.name.replace('_', '-')}=={self.version}"


def label_name(name: str) -> str:
    """A package's name as labels spell it.

    >>> label_name("Typing.Extensions")
    'typing_extensions'
    """
    return canonicalize_name(name).replace("-", "_")


def read(file: Path, shown: str) -> list[Pin]:
    """Reads a lock in the format of pip's requirements files, as pip-compile and uv write it.

    `shown` is what errors call the file.

    Raises:
        LockError: an entry is not `NAME==VERSION` with sha256 hashes; names file and line.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LockError(f"{shown} cannot be read: {error}") from None
    return [_pin(entry, f"{shown}:{line}", line) for line, entry in _entries(text)]


def _entries(text: str) -> Iterator[tuple[int, str]]:
    """Lines without comments, joined where a backslash ends them, each with its number."""
    start, parts = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        bare = _COMMENT.sub("", line).rstrip()
        if not parts:
            start = number
        if bare.endswith("\\"):
            parts += bare[:-1] + " "
            continue
        entry = (parts + bare).strip()
        parts = ""
        if entry:
            yield start, entry
    if parts.strip():
        yield start, parts.strip()


def _pin(entry: str, place: str, line: int) -> Pin:
    wanted, *options = _OPTION.split(f" {entry}")
    shown = " ".join(wanted.split()) or f"--{options[0]}".strip()
    if not wanted.strip():
        raise LockError(
            f"{place}: {shown!r} has no place in the lock, which names packages and hashes only; "
            "how to reach a Python index is the machine's to say (pip config)"
        )
    try:
        requirement = Requirement(wanted.strip())
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0]
        raise LockError(f"{place}: {shown!r} is not a requirement: {reason}") from None
    versions = list(requirement.specifier)
    exact = len(versions) == 1 and versions[0].operator == "=="
    if requirement.url or not exact or versions[0].version.endswith("*"):
        raise LockError(f"{place}: {shown!r}; expected NAME==VERSION")
    return Pin(
        name=label_name(requirement.name),
        version=versions[0].version,
        extras=tuple(sorted(canonicalize_name(extra) for extra in requirement.extras)),
        marker=requirement.marker,
        hashes=tuple(_sha256(option.strip(), f"{place}: {shown}") for option in options)
        or _no_hash(f"{place}: {shown}"),
        line=line,
    )


def _sha256(option: str, place: str) -> str:
    match = _HASH.fullmatch(option)
    if not match:
        raise LockError(f"{place}: '--{option}'; expected --hash=sha256:HEX")
    algorithm, value = match.groups()
    if algorithm != "sha256" or not _SHA256.fullmatch(value):
        raise LockError(
            f"{place}: hash {algorithm}:{value}; expected sha256: and 64 hexadecimal digits"
        )
    return value


def _no_hash(place: str) -> tuple[str, ...]:
    raise LockError(
        f"{place}: no hash; expected --hash=sha256:HEX for every file of the version. "
        "`tools/bazel run //:requirements.update` writes them"
    )
