"""An inventory as a CycloneDX 1.6 document."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.bom_ref import BomRef
from cyclonedx.model.component import Component, ComponentType, Pedigree
from cyclonedx.model.component_evidence import ComponentEvidence, Occurrence
from cyclonedx.model.contact import OrganizationalEntity
from cyclonedx.model.dependency import Dependency
from cyclonedx.model.license import LicenseAcknowledgement, LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from rules.sbom import inventory
from rules.sbom.identity import identifier, image_purl
from rules.sbom.inventory import SOURCES, ImageFile, Inventory, Package
from rules.sbom.licenses import License


def text(described: Inventory) -> str:
    """The document as JSON; it holds no time but the image's own, and no random identifier."""
    owned: dict[str, list[ImageFile]] = {}
    for file in described.files:
        owned.setdefault(file.owner, []).append(file)
    refs = {package.key: _ref(package) for package in described.packages}
    image = _image(described)
    needed = {key for package in described.packages for key in package.depends}
    # What nothing else of the image needs stands below the image itself.
    dependencies = [
        Dependency(image.bom_ref, _refs(refs[key] for key in sorted(refs.keys() - needed)))
    ]
    for package in described.packages:
        dependencies.append(_dependency(refs[package.key], (refs[key] for key in package.depends)))
        dependencies += _inner(package)
    bom = Bom(
        serial_number=identifier(described, "cyclonedx"),
        metadata=BomMetaData(
            timestamp=datetime.fromisoformat(described.created),
            component=image,
            supplier=OrganizationalEntity(name=described.name),
        ),
        components=[_component(package, owned[package.key]) for package in described.packages],
        dependencies=dependencies,
    )
    bom.metadata.tools.components.add(
        Component(name="//rules/sbom", type=ComponentType.APPLICATION)
    )
    written = json.loads(JsonV1Dot6(bom).output_as_string())
    return json.dumps(_ordered(written), indent=1, sort_keys=True) + "\n"


def _ordered(value: Any) -> Any:
    """The same with every list sorted.

    No list here has an order of its own, and the library sorts some of them by addresses in memory.
    """
    if isinstance(value, dict):
        return {key: _ordered(each) for key, each in value.items()}
    if isinstance(value, list):
        return sorted(map(_ordered, value), key=lambda each: json.dumps(each, sort_keys=True))
    return value


def _ref(package: Package) -> str:
    return package.purl or "sources"


def _refs(refs: Iterable[str]) -> list[Dependency]:
    return [Dependency(BomRef(ref)) for ref in refs]


def _dependency(ref: str, depends: Iterable[str]) -> Dependency:
    return Dependency(BomRef(ref), _refs(depends))


def _image(described: Inventory) -> Component:
    return Component(
        name=described.name,
        type=ComponentType.CONTAINER,
        bom_ref="image",
        version=described.digest,
        hashes=_hashes(described.digest.partition(":")[2]),
        purl=PackageURL.from_string(image_purl(described)),
    )


def _component(package: Package, files: Iterable[ImageFile]) -> Component:
    source, version = package.source
    return Component(
        name=package.name,
        type=ComponentType.APPLICATION if package.key == SOURCES else ComponentType.LIBRARY,
        bom_ref=_ref(package),
        supplier=OrganizationalEntity(name=package.supplier),
        publisher=package.originator or None,
        version=package.version,
        description=package.summary or None,
        hashes=_hashes(package.sha256),
        licenses=_licenses(package.license),
        purl=PackageURL.from_string(package.purl) if package.purl else None,
        external_references=[
            ExternalReference(type=ExternalReferenceType.WEBSITE, url=XsUri(package.homepage))
        ]
        if package.homepage
        else [],
        pedigree=_pedigree(source, version) if source else None,
        evidence=ComponentEvidence(occurrences=[_occurrence(file) for file in files]),
        components=[_built_in(package, each) for each in package.components],
    )


def _pedigree(source: str, version: str) -> Pedigree:
    """The Debian source package that a package was built from."""
    purl = PackageURL("deb", "debian", source, version, {"arch": "source"})
    return Pedigree(ancestors=[Component(name=source, version=version, purl=purl)])


def _occurrence(file: ImageFile) -> Occurrence:
    made = f"generated from {', '.join(file.made_of)}" if file.made_of else None
    return Occurrence(location=file.path, additional_context=made)


def _built_in_ref(package: Package, ref: str) -> str:
    return f"{_ref(package)}#{ref}"


def _built_in(package: Package, component: inventory.Component) -> Component:
    return Component(
        name=component.name,
        bom_ref=_built_in_ref(package, component.ref),
        version=component.version or None,
        supplier=OrganizationalEntity(name=component.supplier),
        hashes=_hashes(component.sha256),
        licenses=_licenses(component.license),
        purl=PackageURL.from_string(component.purl) if component.purl else None,
    )


def _inner(package: Package) -> list[Dependency]:
    known = {component.ref for component in package.components}
    return [
        _dependency(
            _built_in_ref(package, component.ref),
            (_built_in_ref(package, ref) for ref in component.depends if ref in known),
        )
        for component in package.components
    ]


def _hashes(sha256: str) -> list[HashType]:
    return [HashType(alg=HashAlgorithm.SHA_256, content=sha256)] if sha256 else []


def _licenses(license_: License) -> list[LicenseExpression]:
    if not license_.expression:
        return []
    return [LicenseExpression(license_.expression, acknowledgement=LicenseAcknowledgement.DECLARED)]
