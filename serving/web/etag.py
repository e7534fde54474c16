"""Entity tags of versions: strong validators, and the conditions on them (RFC 9110 section 13)."""

import re
from dataclasses import dataclass

from fastapi import Request

# RFC 9110 section 8.8.3, and lists of them with empty members (section 5.6.1.2).
_TAG = re.compile(r'(?:W/)?"[!#-~\x80-\xff]*"')
_LIST = re.compile(rf"[ \t,]*(?:{_TAG.pattern}[ \t]*(?:,[ \t,]*|$))*")
# What a client may send as If-Match, for the OpenAPI document.
IF_MATCH = r'^(\*|[ \t,]*((W/)?"[!#-~\x80-\xff]*"[ \t]*(,[ \t,]*|$))*)$'


def etag(version: int) -> str:
    """The strong entity tag of a version."""
    return f'"{version}"'


def matches(header: str, version: int) -> bool:
    """Whether a list of entity tags names a version; weak ones never do (strong comparison)."""
    return header.strip(" \t") == "*" or etag(version) in _tags(header)


def matches_weakly(header: str, version: int) -> bool:
    """The same by weak comparison, as If-None-Match wants it (RFC 9110 section 13.1.2)."""
    return header.strip(" \t") == "*" or etag(version) in {
        tag.removeprefix("W/") for tag in _tags(header)
    }


def joined(request: Request, name: str) -> str:
    """A header as one list, although it may come in several lines (RFC 9110 section 5.3)."""
    return ", ".join(request.headers.getlist(name))


def _tags(header: str) -> list[str]:
    """The entity tags of a list; none where it is none. A comma may be part of a tag."""
    return _TAG.findall(header) if _LIST.fullmatch(header) else []


@dataclass(frozen=True)
class Condition:
    """If-Match as a question about a version (RFC 9110 section 13.1.1)."""

    header: str

    def __call__(self, version: int) -> bool:
        """Whether the condition holds for a version."""
        return matches(self.header, version)

    def __str__(self) -> str:
        return self.header


def condition(if_match: str | None, request: Request | None = None) -> Condition | None:
    """The condition of a header; `None` where nothing is demanded.

    Args:
        if_match: the header, or its first line.
        request: whose further lines count too.
    """
    if if_match is None:
        return None
    return Condition(if_match if request is None else joined(request, "if-match"))
