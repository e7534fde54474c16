"""One scan: the packages of an image held against a collection of advisories."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from rules.scan import findings, ignores
from rules.scan.advisories import Collection
from rules.scan.error import ScanError
from rules.scan.findings import Finding
from rules.scan.ignores import Ignore
from rules.scan.packages import Contents


@dataclass(frozen=True)
class Scan:
    """A scan's result: what was looked at, in which advisories, and what was found.

    `expired` are entries of the ignore file whose last day has gone by. `newer` are name, version
    and newer version of packages; None where nobody asked.
    """

    image: str
    packages: int
    others: int
    advisories: int
    newest: datetime
    now: datetime
    findings: Sequence[Finding]
    expired: Sequence[Ignore] = ()
    newer: Sequence[tuple[str, str, str]] | None = None

    @property
    def age(self) -> int:
        """The age of the advisories in days."""
        return max((self.now - self.newest).days, 0)


def scan(
    image: str, contents: Contents, collection: Collection, ignore: Path | None, now: datetime
) -> Scan:
    """Scans an image, called `image`, at a time; `ignore` is a file of what does not count.

    Raises:
        ScanError: the file says too little, or an entry of it is about nothing in the image.
    """
    entries = ignores.read(ignore) if ignore else []
    every = findings.find(contents.packages, collection.advisories)
    return Scan(
        image=image,
        packages=len(contents.packages),
        others=contents.others,
        advisories=len(collection.advisories),
        newest=collection.newest,
        now=now,
        findings=_ignored(every, entries, ignore),
        expired=findings.expired(entries, now.date()),
    )


def _ignored(
    every: Sequence[Finding], ignored: Sequence[Ignore], file: Path | None
) -> list[Finding]:
    """The findings, with what is said of them; raises `ScanError` for an entry about none."""
    result = list(every)
    for entry in ignored:
        matching = [
            number
            for number, finding in enumerate(result)
            if entry.identifier in finding.names and entry.package == finding.package.name
        ]
        if not matching:
            raise ScanError(
                f"{file}: {entry.identifier} for {entry.package}: no such advisory is about the "
                "image. Take the entry out"
            )
        for number in matching:
            result[number] = replace(result[number], ignore=entry)
    return result
