"""Licences as SPDX expressions: of Debian copyright files, and of wheels' metadata.

What has no SPDX identifier becomes a `LicenseRef-` whose text is kept (SPDX 2.3, section 10).
"""

import hashlib
import logging
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Any

from debian.copyright import Copyright, NotMachineReadableError
from debian.copyright import License as Paragraph
from license_expression import ExpressionError, get_spdx_licensing

_SPDX = get_spdx_licensing()
# It warns of what is mended in memory, such as the format's own address.
logging.getLogger("debian.copyright").setLevel(logging.ERROR)
# Short names of copyright-format 1.0 that SPDX spells otherwise.
_DEBIAN = {
    "expat": "MIT",
    "artistic": "Artistic-1.0",
    "zlib/libpng": "Zlib",
    "cc0": "CC0-1.0",
    "perl": "Artistic-1.0-Perl OR GPL-1.0-or-later",
    "psf-2": "PSF-2.0",
    "python": "PSF-2.0",
}
_GNU = re.compile(
    r"(?P<name>[AL]?GPL|GFDL)-(?P<version>\d+(?:\.\d+)?)(?P<later>\+)?", re.IGNORECASE
)
_WORDS = re.compile(r"\s+(and|or)\s+", re.IGNORECASE)
# Classifiers of the core metadata that mean one licence.
_CLASSIFIERS = {
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: ISC License (ISCL)": "ISC",
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "License :: OSI Approved :: Python Software Foundation License": "PSF-2.0",
    "License :: OSI Approved :: The Unlicense (Unlicense)": "Unlicense",
}


@dataclass(frozen=True)
class License:
    """An SPDX expression, "" where none is known; `texts` are name and text by `LicenseRef-` id."""

    expression: str = ""
    texts: tuple[tuple[str, str, str], ...] = ()

    @property
    def references(self) -> Mapping[str, tuple[str, str]]:
        """Name and text by `LicenseRef-` id."""
        return {reference: (name, text) for reference, name, text in self.texts}


def spdx(text: str) -> str:
    """A text as a normal SPDX expression; "" where it is none.

    >>> spdx("mit and apache-2.0"), spdx("see the file")
    ('MIT AND Apache-2.0', '')
    """
    if not text.strip() or "\n" in text:
        return ""
    try:
        return str(_SPDX.parse(text, validate=True, strict=True))
    except (ExpressionError, AttributeError, ValueError):
        return ""


def everything(parts: Iterable[str]) -> str:
    """The expression of all of several at once, each once, sorted."""
    flat = (
        piece
        for part in parts
        for piece in ([part] if " OR " in part else part.split(" AND "))
        if piece
    )
    unique = sorted(set(flat))
    if len(unique) == 1:
        return unique[0]
    return " AND ".join(f"({part})" if " OR " in part else part for part in unique)


def of_copyright_file(text: str, source: str) -> License:
    """The licence of a Debian package, from its copyright file (copyright-format 1.0).

    All that any file of the source is under counts, for the format does not say which of them a
    binary package is made of. A file in no format is one licence, of which it is the text.
    """
    paragraphs = _paragraphs(text)
    names = {_one_line(paragraph.synopsis) for paragraph in paragraphs if paragraph.synopsis}
    if not names:
        reference = _reference(f"{source}-copyright", text)
        return License(reference, ((reference, f"copyright file of {source}", text),))
    bodies = {
        _one_line(each.synopsis): each.text for each in paragraphs if each.synopsis and each.text
    }
    texts: dict[str, tuple[str, str]] = {}
    parts = [_debian(name, source, bodies, texts) for name in sorted(names)]
    return License(
        everything(parts),
        tuple((reference, *texts[reference]) for reference in sorted(texts)),
    )


def _paragraphs(text: str) -> list[Paragraph]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed = Copyright(text.splitlines(keepends=True), strict=False)
            found: list[Any] = [each.license for each in parsed.all_paragraphs()]
            return [each for each in found if each]
    except (NotMachineReadableError, ValueError, TypeError):
        return []


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _debian(
    name: str, source: str, bodies: Mapping[str, str], texts: dict[str, tuple[str, str]]
) -> str:
    """The expression for a synopsis such as `GPL-2+ or Expat`; adds what is no SPDX identifier."""
    pieces = [name] if "," in name else _WORDS.split(name)
    words = []
    for number, piece in enumerate(pieces):
        if number % 2:
            words.append(piece.upper())
            continue
        known = _identifier(piece)
        if not known:
            text = bodies.get(piece) or bodies.get(name) or f"See the copyright file of {source}."
            known = _reference(f"{source}-{piece}", text)
            texts[known] = (piece, text)
        words.append(f"({known})" if " " in known and len(pieces) > 1 else known)
    return spdx_text(" ".join(words))


def spdx_text(text: str) -> str:
    """An expression, as the library writes it; `LicenseRef-` symbols need not be known to it."""
    return str(_SPDX.parse(text))


def _identifier(name: str) -> str:
    if match := _GNU.fullmatch(name):
        version = match["version"] if "." in match["version"] else f"{match['version']}.0"
        name = f"{match['name'].upper()}-{version}-{'or-later' if match['later'] else 'only'}"
        return spdx(name)
    return _DEBIAN.get(name.lower(), "") or spdx(name)


def _reference(name: str, text: str) -> str:
    """A `LicenseRef-` that differs where the text does."""
    clean = re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-")
    return f"LicenseRef-{clean}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def of_wheel(metadata: Message, texts: Mapping[str, str]) -> License:
    """The licence that a wheel declares (core metadata: License-Expression, License, Classifier).

    `texts` are its licence files, which speak where the fields do not.
    """
    for declared in (metadata.get("License-Expression", ""), metadata.get("License", "")):
        if expression := spdx(declared):
            return License(expression)
    classifiers = [
        each for each in metadata.get_all("Classifier", []) if each.startswith("License ::")
    ]
    found = [_CLASSIFIERS[each] for each in classifiers if each in _CLASSIFIERS]
    if found and len(found) == len(classifiers):
        return License(everything(found))
    name = metadata["Name"]
    references = [
        (_reference(f"{name}-{file.rpartition('/')[2]}", text), f"{file} of {name}", text)
        for file, text in sorted(texts.items())
    ]
    return License(everything(reference for reference, _, _ in references), tuple(references))
