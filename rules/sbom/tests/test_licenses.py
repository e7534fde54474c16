"""Licences become SPDX expressions, and what has no identifier keeps its text."""

from email import message_from_string

import pytest

from rules.sbom.licenses import License, everything, of_copyright_file, of_wheel, spdx

FORMAT = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"


def copyright_file(*licenses: str, more: str = "") -> str:
    paragraphs = [
        f"Files: {number}\nCopyright: me\nLicense: {license_}\n"
        for number, license_ in enumerate(licenses)
    ]
    return "\n".join([FORMAT, *paragraphs, more])


@pytest.mark.parametrize(
    ("debian", "expression"),
    [
        ("GPL-2", "GPL-2.0-only"),
        ("GPL-2+", "GPL-2.0-or-later"),
        ("LGPL-2.1+", "LGPL-2.1-or-later"),
        ("Expat", "MIT"),
        ("BSD-3-clause", "BSD-3-Clause"),
        ("Zlib", "Zlib"),
        ("MPL-1.1 or GPL-2+ or LGPL-2.1+", "MPL-1.1 OR GPL-2.0-or-later OR LGPL-2.1-or-later"),
    ],
)
def test_short_names_of_debian_are_spdx_identifiers(debian: str, expression: str) -> None:
    assert of_copyright_file(copyright_file(debian), "hello").expression == expression


def test_all_licences_of_a_source_count_each_once() -> None:
    text = copyright_file("GPL-2+", "Expat", "GPL-2+", "Expat or ISC")

    assert (
        of_copyright_file(text, "hello").expression == "GPL-2.0-or-later AND MIT AND (MIT OR ISC)"
    )


def test_a_licence_without_identifier_keeps_its_text() -> None:
    text = copyright_file("GPL-2+ and odd", more="License: odd\n Do as you like.\n")

    found = of_copyright_file(text, "hello")

    ((reference, (name, body)),) = found.references.items()
    assert reference.startswith("LicenseRef-hello-odd-")
    assert found.expression == f"GPL-2.0-or-later AND {reference}"
    assert (name, body) == ("odd", "Do as you like.")


def test_two_texts_of_one_name_are_two_licences() -> None:
    first = of_copyright_file(copyright_file("odd", more="License: odd\n Do.\n"), "hello")
    second = of_copyright_file(copyright_file("odd", more="License: odd\n Do not.\n"), "hello")

    assert first.expression != second.expression


def test_a_copyright_file_in_no_format_is_the_text_of_one_licence() -> None:
    found = of_copyright_file("You may copy this.\n", "hello")

    ((reference, (_, body)),) = found.references.items()
    assert found.expression == reference
    assert body == "You may copy this.\n"


@pytest.mark.parametrize(
    ("fields", "expression"),
    [
        ("License-Expression: MIT AND PSF-2.0", "MIT AND PSF-2.0"),
        ("License: BSD-3-Clause", "BSD-3-Clause"),
        ("Classifier: License :: OSI Approved :: MIT License", "MIT"),
        ("License: see below\nClassifier: License :: OSI Approved :: MIT License", "MIT"),
    ],
)
def test_a_wheel_declares_its_licence_in_one_of_three_fields(fields: str, expression: str) -> None:
    metadata = message_from_string(f"Name: one\n{fields}\n\n")

    assert of_wheel(metadata, {"LICENSE": "text"}) == License(expression)


def test_a_wheel_whose_classifier_means_several_licences_speaks_by_its_file() -> None:
    metadata = message_from_string(
        "Name: one\nClassifier: License :: OSI Approved :: BSD License\n\n"
    )

    found = of_wheel(metadata, {"licenses/LICENSE": "Redistribute."})

    ((reference, (_, body)),) = found.references.items()
    assert (found.expression, body) == (reference, "Redistribute.")


def test_a_wheel_that_says_nothing_has_no_licence() -> None:
    assert of_wheel(message_from_string("Name: one\n\n"), {}) == License()


def test_what_is_no_expression_is_none() -> None:
    assert [spdx(text) for text in ("", "see LICENSE", "MIT\nAND X", "MIT AND")] == [""] * 4


def test_alternatives_stay_together_among_several() -> None:
    assert everything(["MIT OR ISC", "Zlib", "Zlib"]) == "(MIT OR ISC) AND Zlib"
