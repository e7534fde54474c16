"""What a service is called: the one thing about it that everything here needs to know."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Names of a service.

    Attributes:
        name: as it is deployed, such as `hello`; in problem types, connections and requests.
        title: for people, such as `Hello`.
        module: the Python package that `python -m` runs.
        version: of the service, not of its image.
    """

    name: str
    title: str
    module: str
    version: str

    @property
    def problem_prefix(self) -> str:
        """What the type of each of its problems begins with (RFC 9457 section 3.1.1, RFC 8141)."""
        return f"urn:{self.name}:problem:"
