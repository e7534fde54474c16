"""Wheels of an image, as their `.dist-info` folders and the lock describe them."""

import email
import email.policy
import email.utils
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from rules.sbom.error import SbomError
from rules.sbom.inventory import Component, Package
from rules.sbom.licenses import License, everything, of_wheel, spdx
from tools.locks import wheels
from tools.locks.wheels import Pin

_SBOMS = "sboms/"
_UPDATE = "tools/bazel run //:requirements.update"


@dataclass(frozen=True)
class Wheel:
    """What the build knows of a wheel: the files of its `.dist-info` by path below that folder.

    `hash` is the sha256 of its archive, in hex, or the beginning of it.
    """

    name: str
    version: str
    hash: str
    metadata: Mapping[str, Path]


def read(
    given: Iterable[Wheel], lock: Path, shown: str, python: str, machine: str
) -> list[Package]:
    """The packages that some wheels are, sorted by name.

    `lock` has the hashes that a wheel may have, `shown` is what errors call it; `python` is
    MAJOR.MINOR, `machine` the CPU as `uname -m` says it.

    Raises:
        SbomError: the lock does not have a wheel, or the wheel says something else of itself.
    """
    pins = {(pin.name, pin.version): pin for pin in wheels.read(lock, shown)}
    found: dict[str, tuple[Wheel, Pin, Message]] = {}
    for wheel in given:
        pin = pins.get((wheels.label_name(wheel.name), wheel.version))
        if pin is None:
            raise SbomError(
                f"{shown} lacks {wheel.name} {wheel.version}, which the image has: `{_UPDATE}`"
            )
        found[canonicalize_name(wheel.name)] = (wheel, pin, _metadata(wheel))
    environment = _environment(python, machine)
    return [_package(name, found, shown, environment) for name in sorted(found)]


_Found = Mapping[str, tuple[Wheel, Pin, Message]]


def _metadata(wheel: Wheel) -> Message:
    if "METADATA" not in wheel.metadata:
        raise SbomError(f"{wheel.name} {wheel.version}: its .dist-info has no METADATA")
    # Core metadata is UTF-8, which a reader of bytes would take for an unknown encoding.
    text = wheel.metadata["METADATA"].read_text(encoding="utf-8")
    metadata = email.message_from_string(text, policy=email.policy.compat32)
    stated = (canonicalize_name(metadata["Name"] or ""), metadata["Version"])
    if stated != (canonicalize_name(wheel.name), wheel.version):
        raise SbomError(f"METADATA of {wheel.name} {wheel.version} is of {stated[0]} {stated[1]}")
    return metadata


def _package(name: str, found: _Found, shown: str, environment: Mapping[str, str]) -> Package:
    wheel, pin, metadata = found[name]
    texts = {
        path: file.read_text(errors="replace")
        for path, file in wheel.metadata.items()
        if "LICEN" in path.upper() or "COPYING" in path.upper()
    }
    return Package(
        key=f"{name}=={wheel.version}",
        name=name,
        version=wheel.version,
        purl=PackageURL("pypi", None, name, wheel.version).to_string(),
        sha256=_sha256(wheel, pin, shown),
        license=of_wheel(metadata, texts),
        supplier=_supplier(name, metadata),
        homepage=_homepage(metadata),
        summary=_text(metadata, "Summary"),
        depends=tuple(
            f"{needed}=={found[needed][0].version}"
            for needed in sorted(_needs(metadata, pin.extras, environment))
            if needed in found and needed != name
        ),
        components=_components(wheel),
    )


def _sha256(wheel: Wheel, pin: Pin, shown: str) -> str:
    matching = [value for value in pin.hashes if wheel.hash and value.startswith(wheel.hash)]
    if len(matching) != 1:
        raise SbomError(
            f"{wheel.name} {wheel.version}: expected one hash of {shown} that begins with "
            f"{wheel.hash}, got {len(matching)}. In registry mode wheels have to be fetched by "
            "Bazel, from an index (docs/supply-chain.md)"
        )
    return matching[0]


def _text(metadata: Message, field: str) -> str:
    """A field as text, "" where it is missing; `UNKNOWN` is what old tools wrote for that."""
    value = str(metadata.get(field) or "").strip()
    return "" if value == "UNKNOWN" else value


def _supplier(name: str, metadata: Message) -> str:
    for field in ("Author", "Maintainer"):
        if value := _text(metadata, field):
            return " ".join(value.split())
    for field in ("Author-email", "Maintainer-email"):
        people = email.utils.getaddresses([_text(metadata, field)], strict=False)
        if names := [person or address for person, address in people if person or address]:
            return ", ".join(names)
    return f"The authors of {name}"


def _homepage(metadata: Message) -> str:
    links = {"home-page": _text(metadata, "Home-page")}
    for line in metadata.get_all("Project-URL", []):
        label, _, url = str(line).partition(",")
        links[label.strip().lower()] = url.strip()
    preferred = ("home-page", "homepage", "home", "source", "source code", "repository")
    return next((links[label] for label in preferred if links.get(label)), "")


def _environment(python: str, machine: str) -> Mapping[str, str]:
    """Markers of CPython on Linux (PEP 508)."""
    return {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
    }


def _needs(metadata: Message, extras: Sequence[str], environment: Mapping[str, str]) -> set[str]:
    """Names of what a wheel with some of its extras needs."""
    needed: set[str] = set()
    for line in metadata.get_all("Requires-Dist", []):
        requirement = Requirement(str(line))
        if requirement.marker is None or any(
            requirement.marker.evaluate({**environment, "extra": extra}) for extra in ("", *extras)
        ):
            needed.add(canonicalize_name(requirement.name))
    return needed


def _components(wheel: Wheel) -> tuple[Component, ...]:
    """What the wheel's own SBOMs (PEP 770) say to be in it."""
    found: dict[str, Component] = {}
    for path in sorted(wheel.metadata):
        if path.startswith(_SBOMS) and path.endswith(".json"):
            for component in embedded(json.loads(wheel.metadata[path].read_bytes()), path):
                found.setdefault(component.purl or component.ref, component)
    return tuple(found[key] for key in sorted(found))


def embedded(document: Any, path: str) -> list[Component]:
    """The components of a CycloneDX document; raises `SbomError` for another one."""
    if not isinstance(document, dict) or document.get("bomFormat") != "CycloneDX":
        raise SbomError(f"{path}: expected a CycloneDX document, the only kind that is read here")
    depends = {
        each["ref"]: tuple(sorted(each.get("dependsOn", [])))
        for each in document.get("dependencies", [])
    }
    return [
        Component(
            ref=each.get("bom-ref", f"{each['name']}@{each.get('version', '')}"),
            name=each["name"],
            version=each.get("version", ""),
            purl=each.get("purl", ""),
            sha256=next(
                (value["content"] for value in each.get("hashes", []) if value["alg"] == "SHA-256"),
                "",
            ),
            license=License(_declared(each.get("licenses", []))),
            supplier=each.get("author") or f"The authors of {each['name']}",
            depends=depends.get(each.get("bom-ref", ""), ()),
        )
        for each in document.get("components", [])
    ]


def _declared(licenses: Sequence[Mapping[str, Any]]) -> str:
    """The expression of a component's licences, "" where they have no SPDX name."""
    parts = []
    for each in licenses:
        license_ = each.get("license", {})
        parts.append(
            spdx(each.get("expression") or license_.get("id") or license_.get("name") or "")
        )
    if not parts or "" in parts:
        return ""
    return everything(parts)
