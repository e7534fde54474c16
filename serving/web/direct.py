"""Endpoints that are called past FastAPI's reading of arguments, for ordinary requests.

FastAPI asks pydantic about each argument of each request, which takes longer than a query of one
row. What a route declares, and what it answers to anything else, stays FastAPI's.
"""

from collections.abc import Callable
from typing import Any

from fastapi import Request

# The endpoint's arguments; None where FastAPI is to read and to judge them.
type Arguments = Callable[[Request], tuple[Any, ...] | None]

_NAME = "direct_arguments"


def direct[F: Callable[..., Any]](arguments: Arguments) -> Callable[[F], F]:
    """Have an endpoint called with these arguments. It goes below the route's own decorator.

    Only routes of `ApiKey.route_class` heed it. The endpoint must not depend on anything, and has
    to return a response.

    Args:
        arguments: reads them from a request that it knows to be right.
    """

    def marked(endpoint: F) -> F:
        setattr(endpoint, _NAME, arguments)
        return endpoint

    return marked


def arguments_of(endpoint: Callable[..., Any]) -> Arguments | None:
    """What `direct` was given for an endpoint."""
    found: Arguments | None = getattr(endpoint, _NAME, None)
    return found
