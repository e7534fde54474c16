"""What has to be attached to an image for it to be trusted: signatures, SBOMs, provenance."""

from collections.abc import Mapping
from pathlib import Path

from rules.publish.cosign import PROVENANCE, SPDX, Cosign, describes
from rules.publish.error import PublishError


def verify(
    cosign: Cosign, repository: str, index: str, images: Mapping[str, str], key: Path
) -> None:
    """Checks an index and its images, digests by platform, against a public key.

    `index` is "" for an image without one, which then needs no provenance.

    Raises:
        PublishError: something is missing, signed by another key, or about something else.
    """
    for digest in (index, *images.values()):
        if digest:
            cosign.signed(key, f"{repository}@{digest}")
    for platform, digest in images.items():
        reference = f"{repository}@{digest}"
        statements = cosign.attested(key, reference, SPDX)
        if not any(describes(each["predicate"], digest) for each in statements):
            raise PublishError(
                f"{reference} ({platform}): the SBOM attached is signed, but of another image"
            )
    if index:
        cosign.attested(key, f"{repository}@{index}", PROVENANCE)
