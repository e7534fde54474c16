"""A collection of advisories: a folder or zip of JSON files, or OSV's own export."""

import argparse
import http.client
import json
import lzma
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from rules.scan import osv
from rules.scan.error import ScanError
from rules.scan.osv import Advisory

_SECONDS = 60
_MOST_DAYS = 36500
# What zipfile raises for an archive that is damaged, locked by a password, or packed in a way that
# it does not know.
_UNREADABLE = (OSError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError)


@dataclass(frozen=True)
class Collection:
    """All advisories of a place that are not withdrawn; `newest` is when one was last changed."""

    advisories: tuple[Advisory, ...]
    newest: datetime


def days(text: str) -> int:
    """A number of days on a command line; raises `argparse.ArgumentTypeError` for anything else."""
    if not text.isdecimal() or int(text) > _MOST_DAYS:
        raise argparse.ArgumentTypeError(f"expected days, 0 to {_MOST_DAYS}, got {text}")
    return int(text)


def read(places: Iterable[Path], now: datetime, oldest: timedelta) -> Collection:
    """The advisories of some folders, zips or files.

    Raises:
        ScanError: one is not OSV, there is none at all, or none was changed for so long that the
            data must be old.
    """
    listed = list(places)
    found = [osv.read(value, name) for place in listed for name, value in _documents(place)]
    names = ", ".join(map(str, listed))
    if not found:
        raise ScanError(f"{names}: no advisory in it; expected JSON files in OSV's format")
    newest = max(advisory.modified for advisory in found)
    age = now - newest
    if age > oldest:
        raise ScanError(
            f"{names}: the newest advisory is {age.days} days old, of {newest:%Y-%m-%d}; "
            f"expected at most {oldest.days}. Fetch newer ones, or say --max-age"
        )
    return Collection(tuple(each for each in found if not each.withdrawn), newest)


def _documents(place: Path) -> Iterator[tuple[str, object]]:
    try:
        if place.is_dir():
            for file in sorted(place.rglob("*.json")):
                yield str(file), _json(file.read_bytes(), str(file))
        elif zipfile.is_zipfile(place):
            with zipfile.ZipFile(place) as archive:
                for name in sorted(archive.namelist()):
                    if name.endswith(".json"):
                        yield f"{place}:{name}", _json(archive.read(name), f"{place}:{name}")
        else:
            yield str(place), _json(place.read_bytes(), str(place))
    except _UNREADABLE as error:
        raise ScanError(f"{place}: cannot be read: {error}") from None


def _json(content: bytes, place: str) -> object:
    try:
        value: object = json.loads(content)
    except ValueError as error:
        raise ScanError(
            f"{place}: expected JSON, or a whole zip archive of it, got {content[:20]!r}: {error}"
        ) from None
    return value


def fetch(url: str, ecosystems: Iterable[str], folder: Path) -> list[Path]:
    """Fetches OSV's export for some ecosystems into a folder; raises `ScanError`."""
    files = []
    for ecosystem in ecosystems:
        source = f"{url.rstrip('/')}/{quote(ecosystem)}/all.zip"
        target = folder / f"{ecosystem.replace(':', '-')}.zip"
        try:
            with (
                urllib.request.urlopen(source, timeout=_SECONDS) as answer,
                target.open("wb") as out,
            ):
                while block := answer.read(1 << 20):
                    out.write(block)
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            raise ScanError(
                f"{source}: cannot be fetched: {str(reason).strip()}. Where OSV is out of reach, "
                "name a folder or zip of its advisories with --advisories"
            ) from None
        files.append(target)
    return files
