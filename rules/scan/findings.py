"""Which advisories are about an image, and which of those count."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

from packaging.utils import canonicalize_name

from rules.scan import osv
from rules.scan.ignores import Ignore
from rules.scan.osv import RATINGS, Advisory, Affected
from rules.scan.packages import Package

FIXABLE, ANY, NEVER = "fixable", "any", "never"
THRESHOLDS = (FIXABLE, ANY, *RATINGS[2:], NEVER)


@dataclass(frozen=True)
class Finding:
    """Advisories of one cause, by whatever names, about one package of the image."""

    package: Package
    name: str
    names: tuple[str, ...]
    summary: str
    rating: str
    score: float | None
    fixed: str
    ignore: Ignore | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.name} ({self.package.name})"

    def counts(self, threshold: str) -> bool:
        """Whether it makes a scan fail."""
        if self.ignore or threshold == NEVER:
            return False
        if threshold == ANY:
            return True
        if threshold == FIXABLE:
            return bool(self.fixed)
        return RATINGS.index(self.rating) >= RATINGS.index(threshold)


def find(packages: Iterable[Package], advisories: Iterable[Advisory]) -> list[Finding]:
    """The findings, sorted by package and name."""
    about: dict[tuple[str, str], list[tuple[Advisory, Affected]]] = {}
    for advisory in advisories:
        for affected in advisory.affected:
            key = (affected.ecosystem, _normal(affected.ecosystem, affected.name))
            about.setdefault(key, []).append((advisory, affected))
    found = []
    for package in packages:
        key = (package.ecosystem, _normal(package.ecosystem, package.subject))
        hits = [
            (advisory, affected)
            for advisory, affected in about.get(key, [])
            if _same_release(affected, package) and osv.hits(affected, package.subject_version)
        ]
        found += [_finding(package, group) for group in _groups(hits)]
    return sorted(found, key=lambda finding: (finding.package, finding.name))


def _same_release(affected: Affected, package: Package) -> bool:
    """Where the release of one of them is not known, every one may be meant."""
    return not affected.release or not package.release or affected.release == package.release


def _normal(ecosystem: str, name: str) -> str:
    return canonicalize_name(name) if ecosystem == "PyPI" else name


_Hit = tuple[Advisory, Affected]


def _groups(hits: Iterable[_Hit]) -> list[list[_Hit]]:
    """The hits in groups that share a name, however many steps lie between."""
    groups: list[tuple[set[str], list[_Hit]]] = []
    for hit in hits:
        names, members = set(hit[0].names), [hit]
        apart = []
        for group in groups:
            if group[0] & names:
                names |= group[0]
                members = [*group[1], *members]
            else:
                apart.append(group)
        groups = [*apart, (names, members)]
    return [members for _, members in groups]


def _finding(package: Package, hits: list[_Hit]) -> Finding:
    names = sorted({name for advisory, _ in hits for name in advisory.names})
    worst = max(
        (advisory for advisory, _ in hits),
        key=lambda each: (RATINGS.index(each.rating), each.score or 0.0, each.identifier),
    )
    fixes = [osv.fix(affected, package.subject_version) for _, affected in hits]
    # Of several sources the first that knows a fix.
    fixed = next((each for each in fixes if each), "")
    return Finding(
        package=package,
        name=next((name for name in names if name.startswith("CVE-")), names[0]),
        names=tuple(names),
        summary=next((each.summary for each, _ in hits if each.summary), ""),
        rating=worst.rating,
        score=worst.score,
        fixed=fixed,
    )


def expired(ignores: Iterable[Ignore], today: date) -> list[Ignore]:
    """Those whose last day has gone by."""
    return [each for each in ignores if each.expires < today]
