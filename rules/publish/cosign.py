"""Signs and verifies with cosign 3 and a key, and contacts nothing but the registry.

Without being told otherwise cosign fetches roots of trust and writes to a public log. An empty
signing configuration and an empty trusted root are what makes it do neither.
"""

import base64
import json
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rules.publish.error import PublishError

_SIGNING = {
    "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
    "rekorTlogConfig": {},
    "tsaConfig": {},
}
_TRUST = {"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}

# What cosign calls the kinds of predicate.
SPDX, CYCLONEDX, PROVENANCE = "spdxjson", "cyclonedx", "slsaprovenance1"


class Cosign:
    """The program, with the files that keep it from the network."""

    def __init__(self, program: str, folder: Path, *, insecure: bool) -> None:
        self._program = program
        self._folder = folder
        self._registry = ["--allow-http-registry", "--allow-insecure-registry"] if insecure else []
        self._signing = folder / "signing-config.json"
        self._signing.write_text(json.dumps(_SIGNING))
        self._trust = folder / "trusted-root.json"
        self._trust.write_text(json.dumps(_TRUST))

    def public_key(self, key: str) -> Path:
        """The public half of a key, in a file; raises `PublishError` where it cannot be used."""
        check_key(key)
        file = self._folder / "public-key.pem"
        file.write_text(self._run("the key cannot be used", "public-key", f"--key={key}"))
        return file

    def sign(self, key: str, reference: str) -> None:
        """Signs an image or index by its digest, and attaches the signature."""
        self._run(f"{reference} is not signed", "sign", *self._offline(key), reference)

    def attest(self, key: str, reference: str, kind: str, predicate: Path) -> None:
        """Signs a predicate about an image or index, and attaches it."""
        self._run(
            f"{reference} has no attestation {kind}",
            *("attest", *self._offline(key), f"--type={kind}", f"--predicate={predicate}"),
            reference,
        )

    def attest_blob(self, key: str, statement: Path, bundle: Path) -> None:
        """Signs an in-toto statement, and writes it with its signature into a file."""
        self._run(
            "the statement is not signed",
            *("attest-blob", "--yes", f"--key={key}", f"--signing-config={self._signing}"),
            *(f"--trusted-root={self._trust}", f"--statement={statement}", f"--bundle={bundle}"),
        )

    def attested_blob(self, key: Path, bundle: Path, digest: str, kind: str) -> Any:
        """The statement in a bundle, if a key signed it and it is about a digest.

        Raises `PublishError`, with cosign's reason, where it is not so.
        """
        algorithm, _, value = digest.partition(":")
        self._run(
            f"{digest} has no attestation {kind} signed by {key}",
            *("verify-blob-attestation", f"--key={key}", "--insecure-ignore-tlog=true"),
            *(f"--trusted-root={self._trust}", f"--bundle={bundle}", f"--type={kind}"),
            *(f"--digest={value}", f"--digestAlg={algorithm}"),
        )
        envelope = json.loads(bundle.read_bytes())["dsseEnvelope"]
        return json.loads(base64.b64decode(envelope["payload"]))

    def signed(self, key: Path, reference: str) -> None:
        """Checks that an image or index is signed; raises `PublishError` with cosign's reason."""
        self._run(f"{reference} is not signed by {key}", "verify", *self._checks(key), reference)

    def attested(self, key: Path, reference: str, kind: str) -> list[Any]:
        """The statements about an image or index that a key signed.

        Raises `PublishError`, with cosign's reason, where there is none.
        """
        said = self._run(
            f"{reference} has no attestation {kind} signed by {key}",
            *("verify-attestation", *self._checks(key), f"--type={kind}"),
            reference,
        )
        envelopes = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
        return [json.loads(base64.b64decode(each["payload"])) for each in envelopes]

    def _offline(self, key: str) -> Sequence[str]:
        return [
            *("--yes", f"--key={key}", f"--signing-config={self._signing}"),
            *(f"--trusted-root={self._trust}", *self._registry),
        ]

    def _checks(self, key: Path) -> Sequence[str]:
        # There is no log to look in: whoever has the key is trusted, and nobody else.
        return [
            *(f"--key={key}", "--insecure-ignore-tlog=true"),
            *(f"--trusted-root={self._trust}", *self._registry),
        ]

    def _run(self, failure: str, *arguments: str) -> str:
        done = subprocess.run(
            [self._program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
            reason = lines[0].removeprefix("Error: ") if lines else done.stderr.strip()
            raise PublishError(f"{failure}: {reason}")
        return done.stdout


@contextmanager
def cosign(program: str | None, *, insecure: bool, base: Path | None = None) -> Iterator[Cosign]:
    """Finds cosign by its path, which is relative to `base`, or in PATH.

    Its files are gone afterwards.
    """
    named = str((base or Path()) / program) if program else ""
    found = shutil.which(named) if named else None
    found = found or shutil.which(program or "cosign")
    if not found and program:
        raise PublishError(f"--cosign: expected a program that can be run, got {named}")
    if not found:
        raise PublishError(
            "cosign is not in PATH: install cosign 3 (Debian forky has it), or name it: --cosign"
        )
    with tempfile.TemporaryDirectory(prefix="image-cosign-") as folder:
        yield Cosign(found, Path(folder), insecure=insecure)


def check_key(key: str) -> None:
    """Checks that a private key is there and nobody else's to read; a KMS checks its own."""
    if "://" in key:
        return
    file = Path(key)
    if not file.is_file():
        raise PublishError(f"{key}: no such key. `cosign generate-key-pair` makes one")
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o077:
        raise PublishError(
            f"{key} has mode {mode:04o}, so that others may read it; expected 0600: chmod 600 {key}"
        )


def describes(document: Mapping[str, Any], digest: str) -> bool:
    """Whether an SPDX document is about the image of a digest."""
    value = digest.partition(":")[2]
    return any(
        checksum["checksumValue"] == value
        for package in document.get("packages", [])
        if package.get("SPDXID") == "SPDXRef-Image"
        for checksum in package.get("checksums", [])
    )
