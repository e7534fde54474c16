"""Declarations of problems for the OpenAPI document."""

from collections.abc import Mapping
from typing import Any

from serving.web.problems import MEDIA_TYPE

# What any operation may answer, and any with a body.
ALWAYS = (401, 414, 431, 500, 503)
OF_BODIES = (413, 400, 408)

ABOUT: Mapping[int, str] = {
    400: "The body is not UTF-8.",
    401: "An API key is missing or not valid.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    414: "The URL is too long.",
    422: "The request does not fit its schema.",
    431: "The header is too large.",
    500: "An unexpected error.",
    503: "The database is unavailable, or busy.",
}


def problems(*statuses: int, about: Mapping[int, str]) -> dict[int | str, dict[str, Any]]:
    """The `responses` of an operation: the problems it may answer with.

    Args:
        statuses: beyond those of every operation; 413 stands for all that a body can do wrong.
        about: what a status means for this service, where `ABOUT` does not say it.
    """
    words = {**ABOUT, **about}
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
    chosen = {*ALWAYS, *statuses, *(OF_BODIES if OF_BODIES[0] in statuses else ())}
    return {status: {"description": words[status], "content": content} for status in sorted(chosen)}
