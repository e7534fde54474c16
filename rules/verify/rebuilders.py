"""Statements of those who rebuilt an image: attached with one key, counted with many.

One builder that was taken over can sign whatever it likes. An image that several builders have made
from the same commit, each with a key of its own, is not in the hands of one of them.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rules.publish.error import PublishError
from rules.verify.kept import Kept, key_bytes
from rules.verify.statement import REBUILD


@dataclass(frozen=True)
class Agreement:
    """Who says that an image is what a revision builds.

    Attributes:
        revision: the commit that most of them name; "" where nobody names one.
        agreeing: the keys that say so.
        others: why each of the other keys does not count.
    """

    revision: str
    agreeing: Sequence[Path]
    others: Mapping[Path, str]


def different(keys: Sequence[Path]) -> list[Path]:
    """The files of public keys, each key once however many files have it.

    Raises:
        PublishError: a file is missing, or holds no public key.
    """
    found: dict[bytes, Path] = {}
    for file in keys:
        found.setdefault(key_bytes(file), file)
    return list(found.values())


def attest(
    kept: Kept, key: str, public: Path, reference: str, statement: Mapping[str, Any]
) -> bool:
    """Signs that an image was rebuilt and attaches it, unless that key has said the same before.

    Returns whether something was attached.

    Raises:
        PublishError: the key cannot be used, or the registry does not keep it.
    """
    if _has(kept, public, reference, statement):
        return False
    kept.attest(key, public, reference, statement)
    if not _has(kept, public, reference, statement):
        raise PublishError(
            f"{reference}: the registry took the statement and does not show it. "
            "Run the same command once more"
        )
    return True


def _has(kept: Kept, public: Path, reference: str, statement: Mapping[str, Any]) -> bool:
    try:
        # The first that is the same will do: what is not needed is not asked for.
        return any(
            each["predicate"] == statement["predicate"] for each in kept.attested(public, reference)
        )
    except PublishError:
        return False


def agreement(
    kept: Kept, repository: str, digest: str, keys: Sequence[Path], revision: str
) -> Agreement:
    """Counts the keys that signed a rebuild of a digest.

    Args:
        kept: what they signed.
        repository: HOST/NAME of the image.
        digest: of the index or image.
        keys: public keys, each once (`different`).
        revision: the only commit that counts; "" for the one that most of the keys name.
    """
    reference = f"{repository}@{digest}"
    named: dict[str, list[Path]] = defaultdict(list)
    others: dict[Path, str] = {}
    revisions: dict[Path, set[str]] = {}
    for key in keys:
        try:
            statements = list(kept.attested(key, reference))
        except PublishError as error:
            others[key] = f"has signed no rebuild of this digest ({_reason(error)})"
            continue
        revisions[key] = {_revision(each) for each in statements if _is_about(each, digest)} - {""}
        for each in sorted(revisions[key]):
            named[each].append(key)
    # Of two that are named equally often any will do, and always the same.
    most = revision or max(sorted(named), key=lambda each: len(named[each]), default="")
    agreeing = named.get(most, [])
    for key, found in revisions.items():
        if key not in agreeing:
            said = ", ".join(sorted(found)) or "no revision"
            others[key] = f"has signed a rebuild of another revision: {said}"
    return Agreement(most, agreeing, others)


def _reason(error: PublishError) -> str:
    _, named, after = str(error).rpartition(f"attestation {REBUILD} signed by ")
    # The key is named already.
    return after.partition(": ")[2] if named else str(error)


def _is_about(statement: Mapping[str, Any], digest: str) -> bool:
    """Whether it is what cosign says already: cosign compares the subject as well."""
    value = digest.partition(":")[2]
    subjects = statement.get("subject", [])
    return statement.get("predicateType") == REBUILD and any(
        each.get("digest", {}).get("sha256") == value for each in subjects
    )


def _revision(statement: Mapping[str, Any]) -> str:
    """The commit that was rebuilt; "" where the statement is not one of ours."""
    try:
        dependencies = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
        found = [each["digest"]["gitCommit"] for each in dependencies if each["name"] == "sources"]
    except (KeyError, TypeError):
        return ""
    return found[0] if len(found) == 1 and isinstance(found[0], str) else ""
