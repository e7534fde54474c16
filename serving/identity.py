"""What a service is called: the one thing about it that everything here needs to know."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Names of a service.

    Attributes:
        name: as it is deployed, such as `hello`; in connections and requests.
        title: for people, such as `Hello`.
        module: the Python package that `python -m` runs.
        version: of the service, not of its image.
    """

    name: str
    title: str
    module: str
    version: str
