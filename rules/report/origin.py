"""How images came to be, as provenance states it (in-toto Statement v1, SLSA provenance v1)."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rules.report.error import ReportError

_COMMIT = "gitCommit"


@dataclass(frozen=True)
class Origin:
    """What built the images, and of what.

    `revision` and `source` are "" where the build is no release. `debs` and `wheels` count
    archives, of both CPUs, each once; `locks` are paths with digests.
    """

    target: str
    options: tuple[str, ...]
    bazel: str
    revision: str
    source: str
    debs: int
    wheels: int
    locks: tuple[tuple[str, str], ...]

    def label(self, name: str) -> str:
        """The label of another target beside the one that was built."""
        return f"{self.target.rpartition(':')[0]}:{name}"


def read(file: Path, digest: str) -> Origin:
    """What a statement says of the index that has a digest.

    Raises:
        ReportError: it is no such statement, or about another index.
    """
    try:
        return _read(json.loads(file.read_bytes()), file, digest)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReportError(f"{file}: expected SLSA provenance in JSON: {error!r}") from None


def _read(statement: Any, file: Path, digest: str) -> Origin:
    subjects = [_digest(each) for each in statement["subject"]]
    if digest not in subjects:
        raise ReportError(
            f"{file}: expected provenance of {digest}, got that of {', '.join(subjects)}"
        )
    definition = statement["predicate"]["buildDefinition"]
    used = definition["resolvedDependencies"]
    commit = next((each for each in used if _COMMIT in each["digest"]), None)
    return Origin(
        target=definition["externalParameters"]["target"],
        options=tuple(definition["externalParameters"]["options"]),
        bazel=statement["predicate"]["runDetails"]["builder"]["version"]["bazel"],
        revision=commit["digest"][_COMMIT] if commit else "",
        source=commit.get("uri", "") if commit else "",
        debs=_count(used, "pkg:deb/"),
        wheels=_count(used, "pkg:pypi/"),
        locks=tuple(
            (each["name"], _digest(each))
            for each in used
            if "uri" not in each and _COMMIT not in each["digest"]
        ),
    )


def _digest(resource: Mapping[str, Any]) -> str:
    ((algorithm, value),) = resource["digest"].items()
    return f"{algorithm}:{value}"


def _count(used: Iterable[Mapping[str, Any]], kind: str) -> int:
    return len({_digest(each) for each in used if each.get("uri", "").startswith(kind)})
