"""Entity tags of versions: strong validators, and the conditions on them (RFC 9110 section 13)."""

from dataclasses import dataclass

ETAG = {"ETag": {"description": "The version, quoted.", "schema": {"type": "string"}}}


def etag(version: int) -> str:
    """The strong entity tag of a version."""
    return f'"{version}"'


def matches(header: str, version: int) -> bool:
    """Whether a list of entity tags names a version; weak ones never do (strong comparison)."""
    tags = [tag.strip() for tag in header.split(",")]
    return tags == ["*"] or etag(version) in tags


def matches_weakly(header: str, version: int) -> bool:
    """The same by weak comparison, as If-None-Match wants it (RFC 9110 section 13.1.2)."""
    return matches(header.replace("W/", ""), version)


@dataclass(frozen=True)
class Condition:
    """If-Match as a question about a version (RFC 9110 section 13.1.1)."""

    header: str

    def __call__(self, version: int) -> bool:
        """Whether the condition holds for a version."""
        return matches(self.header, version)

    def __str__(self) -> str:
        return self.header


def condition(if_match: str | None) -> Condition | None:
    """The condition of a header; `None` where nothing is demanded."""
    return None if if_match is None else Condition(if_match)
