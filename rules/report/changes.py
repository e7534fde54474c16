"""What differs between the images of a build and others, which lie in a layout or a registry."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rules.diff import image
from rules.diff.image import Image, Index
from rules.diff.store import open_store
from rules.report import inspection
from rules.report.error import ReportError
from rules.report.inspection import Inspected
from rules.scan import findings
from rules.scan.osv import Advisory
from rules.update.comparison import Difference, compare


@dataclass(frozen=True)
class Changes:
    """From other images to those of the build.

    Attributes:
        against: what the person called the others.
        digest: of the others' index, or manifest.
        differences: by CPU; those that only one of both has are left out.
        same: CPUs whose images are the same.
        alone: CPUs of the build that the others have no image for.
    """

    against: str
    digest: str
    differences: Mapping[str, Difference]
    same: Sequence[str]
    alone: Sequence[str]


def read(
    index: Path,
    against: str,
    *,
    name: str,
    base: Path,
    advisories: Sequence[Advisory] = (),
    crane: str | None = None,
    insecure: bool = False,
) -> Changes:
    """Compares the images of an index with those that a word names.

    `name` is the service's, which both have to be images of; paths are relative to `base`.

    Raises:
        UnreadableError: an image is missing or torn.
        ReportError: it is an image of something else, or for no CPU that the index is for.
    """
    with tempfile.TemporaryDirectory(prefix="image-report-") as scratch:
        places = [Path(scratch, side) for side in ("new", "old")]
        own = open_store(str(index.absolute()), base, places[0], crane=None, insecure=False)
        other = open_store(against, base, places[1], crane=crane, insecure=insecure)
        node = image.read(other)
        built, others = inspection.images(image.read(own)), inspection.images(node)
        both = _both(against, name, built, others)
        inspector = inspection.Inspector(scratch)
        new = {cpu: inspector.read(built[cpu], str(index)) for cpu in both}
        old = {cpu: inspector.read(others[cpu], against) for cpu in both}
    same = [cpu for cpu in both if new[cpu].digest == old[cpu].digest]
    return Changes(
        against=against,
        digest=node.document.digest if isinstance(node, Index) else node.manifest.digest,
        differences={
            cpu: compare(
                old[cpu].image,
                new[cpu].image,
                _about(old[cpu], advisories),
                _about(new[cpu], advisories),
            )
            for cpu in both
            if cpu not in same
        },
        same=same,
        alone=sorted(built.keys() - others.keys()),
    )


def _both(
    against: str, name: str, built: Mapping[str, Image], others: Mapping[str, Image]
) -> list[str]:
    """The CPUs that are compared; raises `ReportError` where there is none."""
    for each in others.values():
        if (title := inspection.title(each)) != name:
            raise ReportError(
                f"{against}: expected an image of {name}, got one "
                f"{f'of {title}' if title else 'whose labels have no title'}: different projects "
                "are not compared"
            )
    if not (both := sorted(built.keys() & others.keys())):
        raise ReportError(
            f"{against}: expected an image for {' or '.join(sorted(built))}, got one for "
            f"{', '.join(sorted(others)) or 'no CPU'}"
        )
    return both


def _about(inspected: Inspected, advisories: Sequence[Advisory]) -> list[str]:
    return [*map(str, findings.find(inspected.packages, advisories))]
