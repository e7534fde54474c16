"""Java's trust store has the certificates of the PEM bundle."""

import base64
import hashlib
import struct
from pathlib import Path

import pytest

from tools.debian.builder import truststore
from tools.debian.builder.error import BuilderError

CERTIFICATES = [b"first certificate", b"second"]
PEM = "".join(
    f"# a name\n-----BEGIN CERTIFICATE-----\n{base64.b64encode(der).decode()}\n"
    "-----END CERTIFICATE-----\n"
    for der in CERTIFICATES
)


def decode(store: bytes) -> list[bytes]:
    """The certificates of a JKS version 2 trust store, as java.security.KeyStore reads it."""
    body, digest = store[:-20], store[-20:]
    key = "changeit".encode("utf-16-be") + b"Mighty Aphrodite"
    assert hashlib.sha1(key + body).digest() == digest
    magic, version, count = struct.unpack(">III", body[:12])
    assert (magic, version) == (0xFEEDFEED, 2)
    offset, found = 12, []
    for _ in range(count):
        tag, size = struct.unpack_from(">IH", body, offset)
        assert tag == 2
        offset += 6 + size + 8
        (size,) = struct.unpack_from(">H", body, offset)
        assert body[offset + 2 : offset + 2 + size] == b"X.509"
        offset += 2 + size
        (size,) = struct.unpack_from(">I", body, offset)
        found.append(body[offset + 4 : offset + 4 + size])
        offset += 4 + size
    assert offset == len(body)
    return found


def test_a_store_has_every_certificate_of_the_bundle() -> None:
    assert decode(truststore.encode(PEM)) == CERTIFICATES


def test_a_changed_bundle_makes_a_new_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "bundle.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    bundle.write_text(PEM)
    first = truststore.ensure(tmp_path, tmp_path)
    bundle.write_text(PEM + PEM)
    second = truststore.ensure(tmp_path, tmp_path)

    assert first is not None
    assert second is not None
    assert first != second
    assert len(decode(second.read_bytes())) == 4


@pytest.mark.parametrize("pem", ["no certificate", PEM[: PEM.index("Zm") + 7]])
def test_a_bundle_that_is_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pem: str
) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))

    with pytest.raises(BuilderError, match=rf"{bundle}: expected certificates in PEM.*SSL_CERT_F"):
        truststore.ensure(tmp_path, tmp_path)

    assert list(tmp_path.iterdir()) == [bundle]


def test_without_any_bundle_of_the_machine_the_builder_root_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(truststore, "_MACHINE", tmp_path / "missing")
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    bundle = tmp_path / "root/etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True)
    bundle.write_text(PEM)

    store = truststore.ensure(tmp_path, tmp_path / "root")

    assert store is not None
    assert decode(store.read_bytes()) == CERTIFICATES
    bundle.unlink()
    assert truststore.ensure(tmp_path, tmp_path / "root") is None
