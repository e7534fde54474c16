"""Both documents are what their formats allow, and depend on nothing but the inventory."""

import json
import os
import subprocess
import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from rules.sbom import cyclonedx, spdx
from rules.sbom.inventory import SOURCES, Component, ImageFile, Inventory
from rules.sbom.licenses import License
from rules.sbom.tests.test_inventory import package

ODD = License("LicenseRef-odd", (("LicenseRef-odd", "odd", "Do."),))
CRATES = (
    Component("b", "crate", "2", "pkg:cargo/crate@2", "", License("MIT"), "Ann"),
    Component("a", "other", "", "", "", License(), "Ben", depends=("b", "absent")),
)


def inventory() -> Inventory:
    return Inventory(
        name="hello",
        digest=f"sha256:{'0' * 64}",
        architecture="amd64",
        created="2026-01-02T03:04:05Z",
        labels={},
        packages=(
            package(
                "libx++",
                purl="pkg:deb/debian/libx%2B%2B@1",
                license=ODD,
                originator="Ann <a@x.org>",
                source=("x", "1"),
            ),
            package("one==1", name="one", purl="pkg:pypi/one@1", components=CRATES),
            package("two==1", name="two", purl="pkg:pypi/two@1", depends=("one==1",)),
            package(SOURCES, name="hello", purl="", sha256="", depends=("two==1",)),
        ),
        files=tuple(
            ImageFile(path, owner, 1, "1" * 40, "2" * 64, made_of)
            for path, owner, made_of in [
                ("/app/a.py", SOURCES, ()),
                ("/app/a.pyc", SOURCES, ("/app/a.py",)),
                ("/bundle", "libx++", ("/gone.crt",)),
                ("/one.so", "one==1", ("/one.so",)),
                ("/two.py", "two==1", ()),
            ]
        ),
    )


def test_spdx_tools_accepts_the_document() -> None:
    messages = validate_full_spdx_document(spdx.document(inventory()))

    assert [message.validation_message for message in messages] == []


def test_cyclonedx_schema_accepts_the_document() -> None:
    text = cyclonedx.text(inventory())

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_the_time_is_the_images_own() -> None:
    created = spdx.document(inventory()).creation_info.created.isoformat()
    stamp = json.loads(cyclonedx.text(inventory()))["metadata"]["timestamp"]

    assert created == "2026-01-02T03:04:05"
    assert stamp == "2026-01-02T03:04:05+00:00"


def test_what_a_file_was_made_of_is_a_file_or_where_that_is_gone_its_package() -> None:
    document = spdx.document(inventory())
    names = {file.spdx_id: file.name for file in document.files}
    names |= {each.spdx_id: each.name for each in document.packages}

    made = {
        names[each.spdx_element_id]: names[str(each.related_spdx_element_id)]
        for each in document.relationships
        if each.relationship_type.name == "GENERATED_FROM"
    }

    assert made == {"./app/a.pyc": "./app/a.py", "./bundle": "libx++", "./one.so": "one"}


def test_another_inventory_has_another_identifier() -> None:
    first = inventory()
    second = Inventory(**(vars(first) | {"created": "2026-01-02T03:04:06Z"}))

    names = {spdx.document(each).creation_info.document_namespace for each in (first, second)}
    numbers = {json.loads(cyclonedx.text(each))["serialNumber"] for each in (first, second)}
    assert (len(names), len(numbers)) == (2, 2)


PROGRAM = """
import io, sys
from spdx_tools.spdx.writer.json import json_writer
from rules.sbom import cyclonedx, spdx
from rules.sbom.tests.test_documents import inventory
json_writer.write_document_to_stream(spdx.document(inventory()), sys.stdout, validate=False)
print(cyclonedx.text(inventory()))
"""


def test_hash_seed_zone_and_locale_change_no_byte(tmp_path: Path) -> None:
    machines = [
        {"PYTHONHASHSEED": "1", "TZ": "UTC", "LC_ALL": "C"},
        {"PYTHONHASHSEED": "77", "TZ": "Pacific/Kiritimati", "LC_ALL": "C.UTF-8"},
    ]
    written = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env=os.environ | machine | {"PYTHONPATH": ":".join(sys.path)},
            cwd=tmp_path,
            capture_output=True,
            check=True,
        ).stdout
        for machine in machines
    }

    assert len(written) == 1
