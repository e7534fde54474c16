"""Advisories in OSV's format (ossf.github.io/osv-schema, version 1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cmp_to_key
from typing import Any

from cvss import CVSS2, CVSS3, CVSS4
from cvss.exceptions import CVSSError

from rules.scan.error import ScanError
from rules.scan.versions import BEGINNING, UncomparableError, compare

_CVSS = {"CVSS_V2": CVSS2, "CVSS_V3": CVSS3, "CVSS_V4": CVSS4}
# Lowest first.
RATINGS = ("unknown", "none", "low", "medium", "high", "critical")


@dataclass(frozen=True)
class Affected:
    """One package that an advisory is about; `release` is Debian's, "" for all of them.

    `intervals` are events of each range: kind (introduced, fixed, last_affected) and version.
    """

    ecosystem: str
    release: str
    name: str
    versions: frozenset[str]
    intervals: tuple[tuple[tuple[str, str], ...], ...]


@dataclass(frozen=True)
class Advisory:
    """One advisory; `names` are its identifier and all that it is known by elsewhere."""

    identifier: str
    names: frozenset[str]
    modified: datetime
    withdrawn: bool
    summary: str
    score: float | None
    rating: str
    affected: tuple[Affected, ...]


def read(document: Any, place: str) -> Advisory:
    """An advisory from its JSON value; raises `ScanError` naming the place where it is none."""
    try:
        return _read(document)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ScanError(
            f"{place}: expected an advisory in OSV's format, with id, modified and affected: "
            f"{error!r}"
        ) from None


def _read(document: Any) -> Advisory:
    identifier, modified = document["id"], document["modified"]
    if not isinstance(identifier, str) or not identifier:
        raise ValueError(f"id is {identifier!r}")
    # Debian's records of one CVE name it as what they follow; others name several there.
    upstream = _texts(document.get("upstream"))
    score, rating = _severity(document)
    return Advisory(
        identifier=identifier,
        names=frozenset(
            [
                identifier,
                *_texts(document.get("aliases")),
                *(upstream if len(upstream) == 1 else []),
            ]
        ),
        modified=time(modified),
        withdrawn=bool(document.get("withdrawn")),
        summary=_text(document.get("summary") or document.get("details") or "").partition("\n")[0],
        score=score,
        rating=rating,
        affected=tuple(
            _affected(each) for each in document.get("affected") or [] if each.get("package")
        ),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, got {value!r}")
    return value


def _texts(value: object) -> list[str]:
    if not isinstance(value, list | None):
        raise TypeError(f"expected a list of texts, got {value!r}")
    return [_text(each) for each in value or []]


def time(text: str) -> datetime:
    """A time as OSV writes it (RFC 3339, UTC)."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _affected(value: Mapping[str, Any]) -> Affected:
    package = value["package"]
    ecosystem, _, release = package["ecosystem"].partition(":")
    return Affected(
        ecosystem=ecosystem,
        release=release,
        name=_text(package["name"]),
        versions=frozenset(_texts(value.get("versions"))),
        intervals=tuple(
            tuple((kind, _text(at)) for event in each["events"] for kind, at in event.items())
            for each in value.get("ranges") or []
            if each["type"] in {"ECOSYSTEM", "SEMVER"}
        ),
    )


def _severity(document: Mapping[str, Any]) -> tuple[float | None, str]:
    """The highest CVSS base score, and its rating; else the rating that the database gives."""
    vectors = [
        *(document.get("severity") or []),
        *(
            vector
            for each in document.get("affected") or []
            for vector in each.get("severity") or []
        ),
    ]
    scores = [score for score in map(_score, vectors) if score is not None]
    if scores:
        return max(scores), rating_of(max(scores))
    stated = str((document.get("database_specific") or {}).get("severity", "")).lower()
    stated = {"moderate": "medium"}.get(stated, stated)
    return None, stated if stated in RATINGS else "unknown"


def _score(vector: Mapping[str, Any]) -> float | None:
    kind = _CVSS.get(vector["type"])
    try:
        return float(kind(vector["score"]).base_score) if kind else None
    except CVSSError:
        return None


def rating_of(score: float) -> str:
    """The rating of a base score (CVSS 3.1, section 5).

    >>> [rating_of(score) for score in (0.0, 3.9, 4.0, 7.0, 9.0)]
    ['none', 'low', 'medium', 'high', 'critical']
    """
    limits = ((9.0, "critical"), (7.0, "high"), (4.0, "medium"), (0.1, "low"))
    return next((name for limit, name in limits if score >= limit), "none")


def hits(affected: Affected, version: str) -> bool:
    """Whether a version of the package is affected (OSV, "Evaluation").

    A version that cannot be compared counts as affected: nobody can say that it is not.
    """
    if version in affected.versions:
        return True
    try:
        return any(_inside(affected.ecosystem, each, version) for each in affected.intervals)
    except UncomparableError:
        return True


def _inside(ecosystem: str, events: Sequence[tuple[str, str]], version: str) -> bool:
    def order(left: tuple[str, str], right: tuple[str, str]) -> int:
        return _order(ecosystem, left[1], right[1])

    inside = False
    for kind, at in sorted(events, key=cmp_to_key(order)):
        if kind == "introduced" and _order(ecosystem, version, at) >= 0:
            inside = True
        elif _after(ecosystem, kind, at, version):
            inside = False
    return inside


def _after(ecosystem: str, kind: str, at: str, version: str) -> bool:
    """Whether a version lies behind the end of an interval: a fix, or the last that is affected."""
    behind = _order(ecosystem, version, at)
    return (kind == "fixed" and behind >= 0) or (kind == "last_affected" and behind > 0)


def _order(ecosystem: str, left: str, right: str) -> int:
    if BEGINNING in {left, right}:
        return (left != BEGINNING) - (right != BEGINNING)
    return compare(ecosystem, left, right)


def fix(affected: Affected, version: str) -> str:
    """The oldest version above this one that has the fix; "" where there is none."""

    def order(left: str, right: str) -> int:
        return _order(affected.ecosystem, left, right)

    fixes = [at for events in affected.intervals for kind, at in events if kind == "fixed"]
    try:
        return min(
            (at for at in fixes if order(at, version) > 0), key=cmp_to_key(order), default=""
        )
    except UncomparableError:
        return ""
