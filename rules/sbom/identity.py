"""Names that documents about an image have, made of what they say."""

import dataclasses
import hashlib
import json
import uuid

from packageurl import PackageURL

from rules.sbom.inventory import Inventory


def identifier(described: Inventory, kind: str) -> uuid.UUID:
    """An identifier that differs where the inventory does (RFC 9562, version 5)."""
    text = json.dumps(dataclasses.asdict(described), sort_keys=True)
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{kind}:{hashlib.sha256(text.encode()).hexdigest()}")


def image_purl(described: Inventory) -> str:
    """The package URL of an image; it names no registry, for the image may be in many."""
    return PackageURL(
        "oci", None, described.name.lower(), described.digest, {"arch": described.architecture}
    ).to_string()
