"""An inventory as an SPDX 2.3 document."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from datetime import datetime

from spdx_tools.common.spdx_licensing import spdx_licensing
from spdx_tools.spdx.model import (
    Actor,
    ActorType,
    Checksum,
    ChecksumAlgorithm,
    CreationInfo,
    Document,
    ExternalPackageRef,
    ExternalPackageRefCategory,
    ExtractedLicensingInfo,
    File,
    FileType,
    Package,
    PackagePurpose,
    PackageVerificationCode,
    Relationship,
    RelationshipType,
    SpdxNoAssertion,
)

from rules.sbom import inventory
from rules.sbom.identity import identifier, image_purl
from rules.sbom.inventory import SOURCES, Component, ImageFile, Inventory
from rules.sbom.licenses import License

_DOCUMENT = "SPDXRef-DOCUMENT"
_IMAGE = "SPDXRef-Image"
_NONE = SpdxNoAssertion()
_TYPES = {".py": FileType.SOURCE, ".pyc": FileType.BINARY, ".so": FileType.BINARY}


def document(described: Inventory) -> Document:
    """The document; it holds no time but the image's own, and no random identifier."""
    ids = {package.key: _package_id(package) for package in described.packages}
    return Document(
        CreationInfo(
            spdx_version="SPDX-2.3",
            spdx_id=_DOCUMENT,
            name=f"{described.name}-{described.architecture}",
            document_namespace=f"urn:uuid:{identifier(described, 'spdx')}",
            creators=[
                Actor(ActorType.TOOL, "//rules/sbom"),
                Actor(ActorType.ORGANIZATION, described.name),
            ],
            created=datetime.fromisoformat(described.created).replace(tzinfo=None),
        ),
        packages=[_image(described), *_packages(described, ids)],
        files=[_file(file) for file in described.files],
        relationships=list(_relationships(described, ids)),
        extracted_licensing_info=_texts(described),
    )


def _package_id(package: inventory.Package) -> str:
    kind = package.purl.partition(":")[2].partition("/")[0] or "sources"
    name = package.name if package.key != SOURCES else "sources"
    return f"SPDXRef-Package-{kind}-{_plain(name)}"


def _component_id(owner: str, component: Component) -> str:
    return f"{owner}-{_plain(component.name)}-{_plain(component.version)}-{_short(component.ref)}"


def _file_id(path: str) -> str:
    return f"SPDXRef-File-{_short(path)}"


def _plain(text: str) -> str:
    """A text with the characters that an SPDX identifier may have; "+" is told from "-"."""
    return re.sub(r"[^A-Za-z0-9.-]", "-", text.replace("+", "p"))


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _image(described: Inventory) -> Package:
    algorithm, _, value = described.digest.partition(":")
    assert algorithm == "sha256"
    return Package(
        spdx_id=_IMAGE,
        name=described.name,
        version=described.digest,
        download_location=_NONE,
        supplier=Actor(ActorType.ORGANIZATION, described.name),
        files_analyzed=False,
        checksums=[Checksum(ChecksumAlgorithm.SHA256, value)],
        external_references=[_purl(image_purl(described))],
        license_concluded=_NONE,
        license_declared=_NONE,
        copyright_text=_NONE,
        primary_package_purpose=PackagePurpose.CONTAINER,
    )


def _packages(described: Inventory, ids: dict[str, str]) -> Iterator[Package]:
    sums: dict[str, list[str]] = {}
    for file in described.files:
        sums.setdefault(file.owner, []).append(file.sha1)
    for package in described.packages:
        joined = "".join(sorted(sums[package.key]))
        code = hashlib.sha1(joined.encode(), usedforsecurity=False).hexdigest()
        source, version = package.source
        yield Package(
            spdx_id=ids[package.key],
            name=package.name,
            version=package.version,
            download_location=_NONE,
            supplier=Actor(ActorType.ORGANIZATION, package.supplier),
            originator=_person(package.originator),
            files_analyzed=True,
            verification_code=PackageVerificationCode(code),
            checksums=_sha256(package.sha256),
            homepage=package.homepage or _NONE,
            # As scanners look for it.
            source_info=f"built package from: {source} {version}" if source else None,
            license_concluded=_NONE,
            license_declared=_license(package.license),
            copyright_text=_NONE,
            summary=package.summary or None,
            external_references=[_purl(package.purl)] if package.purl else [],
            primary_package_purpose=PackagePurpose.APPLICATION
            if package.key == SOURCES
            else PackagePurpose.LIBRARY,
        )
        for component in package.components:
            yield Package(
                spdx_id=_component_id(ids[package.key], component),
                name=component.name,
                version=component.version or None,
                download_location=_NONE,
                supplier=Actor(ActorType.ORGANIZATION, component.supplier),
                files_analyzed=False,
                checksums=_sha256(component.sha256),
                license_concluded=_NONE,
                license_declared=_license(component.license),
                copyright_text=_NONE,
                external_references=[_purl(component.purl)] if component.purl else [],
                primary_package_purpose=PackagePurpose.LIBRARY,
            )


def _person(text: str) -> Actor | None:
    """`NAME <ADDRESS>`, as Debian names maintainers."""
    if not text:
        return None
    name, _, address = text.removesuffix(">").partition(" <")
    return Actor(ActorType.PERSON, name, address or None)


def _sha256(value: str) -> list[Checksum]:
    return [Checksum(ChecksumAlgorithm.SHA256, value)] if value else []


def _purl(purl: str) -> ExternalPackageRef:
    return ExternalPackageRef(ExternalPackageRefCategory.PACKAGE_MANAGER, "purl", purl)


def _license(license_: License) -> object:
    return spdx_licensing.parse(license_.expression) if license_.expression else _NONE


def _file(file: ImageFile) -> File:
    kind = next((kind for end, kind in _TYPES.items() if file.path.endswith(end)), None)
    return File(
        name=f".{file.path}",
        spdx_id=_file_id(file.path),
        checksums=[
            Checksum(ChecksumAlgorithm.SHA1, file.sha1),
            Checksum(ChecksumAlgorithm.SHA256, file.sha256),
        ],
        file_types=[kind] if kind else [],
        license_concluded=_NONE,
        copyright_text=_NONE,
    )


def _relationships(described: Inventory, ids: dict[str, str]) -> Iterator[Relationship]:
    yield Relationship(_DOCUMENT, RelationshipType.DESCRIBES, _IMAGE)
    needed = {key for package in described.packages for key in package.depends}
    for package in described.packages:
        yield Relationship(_IMAGE, RelationshipType.CONTAINS, ids[package.key])
        for key in package.depends:
            yield Relationship(ids[package.key], RelationshipType.DEPENDS_ON, ids[key])
        yield from _components(package, ids[package.key])
    assert needed <= ids.keys()
    paths = {file.path for file in described.files}
    for file in described.files:
        yield Relationship(ids[file.owner], RelationshipType.CONTAINS, _file_id(file.path))
        # What a file was made of may be gone from the image: its package is there.
        origins = {
            _file_id(path) if path in paths and path != file.path else ids[file.owner]
            for path in file.made_of
        }
        for origin in sorted(origins):
            yield Relationship(_file_id(file.path), RelationshipType.GENERATED_FROM, origin)


def _components(package: inventory.Package, owner: str) -> Iterator[Relationship]:
    ids = {component.ref: _component_id(owner, component) for component in package.components}
    for component in package.components:
        yield Relationship(owner, RelationshipType.CONTAINS, ids[component.ref])
        for ref in component.depends:
            if ref in ids:
                yield Relationship(ids[component.ref], RelationshipType.DEPENDS_ON, ids[ref])


def _texts(described: Inventory) -> list[ExtractedLicensingInfo]:
    licenses: Iterable[License] = (package.license for package in described.packages)
    found = {key: value for each in licenses for key, value in each.references.items()}
    return [
        ExtractedLicensingInfo(license_id=key, extracted_text=text, license_name=name)
        for key, (name, text) in sorted(found.items())
    ]
