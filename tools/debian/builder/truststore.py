"""A Java trust store made of the CA bundle that everything else on the machine trusts.

Java reads no PEM bundles, so a certificate authority that a site adds would be unknown to Bazel's
downloader alone. The format is JKS version 2, as `java.security.KeyStore` of the JDK reads it.
"""

import binascii
import hashlib
import os
import struct
from pathlib import Path

from tools.debian.builder.error import BuilderError

PASSWORD = "changeit"

_BEGIN = "-----BEGIN CERTIFICATE-----"
_END = "-----END CERTIFICATE-----"


_DEBIAN = Path("etc/ssl/certs/ca-certificates.crt")
_MACHINE = Path("/")


def bundle(builder: Path) -> Path | None:
    """The CA bundle in force: `SSL_CERT_FILE`, else the machine's, else the builder root's."""
    for name in (os.environ.get("SSL_CERT_FILE"), _MACHINE / _DEBIAN, builder / _DEBIAN):
        if name and Path(name).is_file() and Path(name).stat().st_size:
            return Path(name)
    return None


def encode(pem: str) -> bytes:
    """The certificates of a PEM bundle as a JKS trust store; raises `ValueError` for none."""
    certificates = [binascii.a2b_base64(part.split(_END)[0]) for part in pem.split(_BEGIN)[1:]]
    if not certificates:
        raise ValueError(f"no {_BEGIN} in it")
    store = struct.pack(">III", 0xFEEDFEED, 2, len(certificates))
    for number, certificate in enumerate(certificates):
        store += struct.pack(">I", 2) + _utf(f"ca{number}") + struct.pack(">Q", 0)
        store += _utf("X.509") + struct.pack(">I", len(certificate)) + certificate
    # The salt that the JDK's KeyStore prescribes for the digest behind the entries.
    salt = PASSWORD.encode("utf-16-be") + b"Mighty Aphrodite"
    return store + hashlib.sha1(salt + store).digest()


def _utf(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()


def ensure(cache: Path, builder: Path) -> Path | None:
    """The trust store for the bundle in force, made where it is missing; None without a bundle.

    Raises `BuilderError` for a file that is no bundle.
    """
    source = bundle(builder)
    if source is None:
        return None
    pem = source.read_text(errors="replace")
    store = cache / f"trust-{hashlib.sha256(pem.encode()).hexdigest()[:16]}.jks"
    if not store.exists():
        beside = store.with_suffix(f".{os.getpid()}")
        try:
            beside.write_bytes(encode(pem))
        except ValueError as error:
            raise BuilderError(
                f"{source}: expected certificates in PEM, whole ones: {error}. Mend the file, or "
                "name another in SSL_CERT_FILE"
            ) from None
        beside.rename(store)
    return store
