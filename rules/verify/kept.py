"""Where a registry keeps what a builder signed: at a tag of its own for each image and key.

A registry without the referrers API (OCI distribution 1.1) lists what is attached to an image in
one index, which writers read and write back whole. No condition can be put on the write, so one of
two writers is lost. A tag that only one key's owner writes cannot be lost so. The statement is
listed as a referrer too, for other programs, and what counts is read from both.
"""

import base64
import hashlib
import json
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rules.diff.error import UnreadableError
from rules.publish.cosign import Cosign
from rules.publish.error import PublishError
from rules.verify.statement import REBUILD

_BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_EMPTY = b"{}"

# How long others may take to write the list of referrers, in tries and seconds between them.
_TRIES = 4
_SECONDS = 0.5

# A statement is a few kB; more is not fetched.
_LARGEST = 1 << 20

# What crane says where there is no such tag, beside all that says nothing about it.
_ABSENT = re.compile(r"MANIFEST_UNKNOWN|NAME_UNKNOWN|404 Not Found|status code 404")
_TORN = re.compile(r"error verifying (sha256 checksum|size)")

_BEGIN, _END = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"


def key_bytes(file: Path) -> bytes:
    """The SubjectPublicKeyInfo (RFC 5280, DER) of a public key in PEM (RFC 7468).

    Raises:
        PublishError: the file is missing, or holds anything but one public key.
    """
    try:
        text = file.read_text(errors="replace")
    except OSError as error:
        raise PublishError(f"{file}: no such public key ({error.strerror})") from None
    before, begin, rest = text.partition(_BEGIN)
    body, end, after = rest.partition(_END)
    try:
        key = base64.b64decode("".join(body.split()), validate=True)
    except ValueError:
        key = b""
    if not (begin and end and key) or before.strip() or after.strip():
        hint = ": this is a private one" if "PRIVATE" in text else ""
        raise PublishError(f"{file}: expected one public key in PEM, '{_BEGIN}...'{hint}")
    return key


def tag(public: Path, digest: str) -> str:
    """The tag of what a key's owner says about a digest."""
    fingerprint = hashlib.sha256(key_bytes(public)).hexdigest()[:32]
    return f"{digest.replace(':', '-')}.rebuild-{fingerprint}"


class Kept:
    """What builders signed, in a registry.

    Raises `UnreadableError` where the registry does not answer: that is no builder's fault.
    """

    def __init__(self, cosign: Cosign, crane: str, *, insecure: bool) -> None:
        self._cosign = cosign
        self._crane = crane
        self._flags = ["--insecure"] if insecure else []

    def attested(self, key: Path, reference: str) -> Iterator[Any]:
        """The statements about an image, REPOSITORY@DIGEST, that a key signed, as they are found.

        Raises:
            PublishError: there is none, with the reason.
        """
        reason: PublishError | None = None
        found = False
        for look in (self._at_tag, self._in_list):
            try:
                for each in look(key, reference):
                    found = True
                    yield each
            except PublishError as error:
                reason = reason or error
        if not found and reason:
            raise reason

    def attest(self, key: str, public: Path, reference: str, statement: Mapping[str, Any]) -> None:
        """Signs a statement about an image and keeps it.

        The manifest goes last, so that a push that breaks off has attached nothing.

        Raises:
            PublishError: the key cannot be used, or the registry refuses.
        """
        repository, _, digest = reference.partition("@")
        with tempfile.TemporaryDirectory(prefix="image-attest-") as folder:
            layout = Path(folder, "layout")
            file, bundle = Path(folder, "statement.json"), Path(folder, "bundle.json")
            file.write_text(json.dumps(statement))
            self._cosign.attest_blob(key, file, bundle)
            _write(layout, bundle.read_bytes(), self._call("manifest", reference), digest)
            for attempt in range(_TRIES):
                time.sleep(_SECONDS * attempt)
                self._push(layout, f"{repository}:{tag(public, digest)}")
                if self._listed(public, reference):
                    return

    def _in_list(self, key: Path, reference: str) -> list[Any]:
        return self._cosign.attested(key, reference, REBUILD)

    def _at_tag(self, key: Path, reference: str) -> list[Any]:
        repository, _, digest = reference.partition("@")
        try:
            content = self._call("manifest", f"{repository}:{tag(key, digest)}")
        except UnreadableError as error:
            if _ABSENT.search(str(error)):
                return []
            raise
        try:
            (layer,) = json.loads(content)["layers"]
            blob, size = str(layer["digest"]), int(layer["size"])
        except (ValueError, KeyError, TypeError):
            raise PublishError("its tag has no bundle of a statement") from None
        if size > _LARGEST:
            raise PublishError(f"its statement has {size} bytes, expected at most {_LARGEST}")
        with tempfile.TemporaryDirectory(prefix="image-attested-") as folder:
            bundle = Path(folder, "bundle.json")
            try:
                bundle.write_bytes(self._call("blob", f"{repository}@{blob}"))
            except UnreadableError as error:
                if _TORN.search(str(error)):
                    raise PublishError("its statement is not what was attached") from None
                raise
            return [self._cosign.attested_blob(key, bundle, digest, REBUILD)]

    def _listed(self, public: Path, reference: str) -> bool:
        try:
            self._in_list(public, reference)
        except PublishError:
            return False
        return True

    def _push(self, layout: Path, target: str) -> None:
        try:
            self._call("push", str(layout), target)
        except UnreadableError as error:
            raise PublishError(
                f"the statement is not attached: {error}. Run the same command once more"
            ) from None

    def _call(self, command: str, *arguments: str) -> bytes:
        done = subprocess.run(
            [self._crane, command, *self._flags, *arguments], capture_output=True, check=False
        )
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise UnreadableError(said[-1].removeprefix("Error: ") if said else "crane failed")
        return done.stdout


def _write(layout: Path, bundle: bytes, subject: bytes, digest: str) -> None:
    """Writes an OCI layout of one manifest, as cosign attaches a bundle (OCI image-spec 1.1)."""
    blobs = layout / "blobs/sha256"
    blobs.mkdir(parents=True)

    def blob(content: bytes, kind: str) -> dict[str, Any]:
        value = hashlib.sha256(content).hexdigest()
        (blobs / value).write_bytes(content)
        return {"mediaType": kind, "size": len(content), "digest": f"sha256:{value}"}

    config = blob(_EMPTY, "application/vnd.oci.empty.v1+json")
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "artifactType": _BUNDLE,
        # crane takes an artifact's type in the list of referrers from here.
        "config": config | {"artifactType": _BUNDLE},
        "layers": [blob(bundle, _BUNDLE)],
        "annotations": {
            "dev.sigstore.bundle.content": "dsse-envelope",
            "dev.sigstore.bundle.predicateType": REBUILD,
        },
        "subject": {
            "mediaType": json.loads(subject)["mediaType"],
            "size": len(subject),
            "digest": digest,
        },
    }
    root = blob(json.dumps(manifest).encode(), _MANIFEST)
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [root],
    }
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (layout / "index.json").write_text(json.dumps(index))
