"""Statements of those who rebuilt an image: attached with one key, counted with many.

One builder that was taken over can sign whatever it likes. An image that several builders have made
from the same commit, each with a key of its own, is not in the hands of one of them.
"""

import base64
import binascii
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rules.publish.cosign import Cosign
from rules.publish.error import PublishError
from rules.verify.statement import REBUILD

# A registry without the referrers API (OCI distribution 1.1) has a list of what is attached, which
# is read and written back: of two who write at once, one may be lost.
_TRIES = 4
_SECONDS = 1.0

_BEGIN, _END = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"


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
        found.setdefault(_key(file), file)
    return list(found.values())


def _key(file: Path) -> bytes:
    try:
        text = file.read_text(errors="replace")
    except OSError as error:
        raise PublishError(f"{file}: no such public key ({error.strerror})") from None
    before, begin, rest = text.partition(_BEGIN)
    body, end, after = rest.partition(_END)
    try:
        key = base64.b64decode("".join(body.split()), validate=True)
    except binascii.Error:
        key = b""
    if not (begin and end and key) or before.strip() or after.strip():
        hint = ": this is a private one" if "PRIVATE" in text else ""
        raise PublishError(f"{file}: expected one public key in PEM, '{_BEGIN}...'{hint}")
    return key


def attest(
    cosign: Cosign, key: str, public: Path, reference: str, statement: Mapping[str, Any]
) -> bool:
    """Signs that an image was rebuilt and attaches it, unless that key has said the same before.

    Returns whether something was attached.

    Raises:
        PublishError: the key cannot be used, or the registry does not keep it.
    """
    predicate = statement["predicate"]
    if _has(cosign, public, reference, predicate):
        return False
    with tempfile.TemporaryDirectory(prefix="image-attest-") as folder:
        file = Path(folder, "predicate.json")
        file.write_text(json.dumps(predicate))
        for attempt in range(_TRIES):
            time.sleep(_SECONDS * attempt)
            cosign.attest(key, reference, REBUILD, file)
            if _has(cosign, public, reference, predicate):
                return True
    raise PublishError(
        f"{reference}: the registry took the statement {_TRIES} times and does not show it. "
        "Others may be writing at the same time: run the same command once more"
    )


def _has(cosign: Cosign, public: Path, reference: str, predicate: object) -> bool:
    try:
        found = cosign.attested(public, reference, REBUILD)
    except PublishError:
        return False
    return any(each["predicate"] == predicate for each in found)


def agreement(
    cosign: Cosign, repository: str, digest: str, keys: Sequence[Path], revision: str
) -> Agreement:
    """Counts the keys that signed a rebuild of a digest.

    Args:
        cosign: the program.
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
            statements = cosign.attested(key, reference, REBUILD)
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
    return str(error).rpartition(f"attestation {REBUILD} signed by ")[2].partition(": ")[2]


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
