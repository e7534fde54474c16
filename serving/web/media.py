"""The media types of bodies: which an operation takes, and 415 for others (RFC 9110 15.5.16)."""

from collections.abc import Sequence

from fastapi import Request
from fastapi.routing import APIRoute

from serving.web.problems import Problem

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"


def media_types(route: APIRoute) -> Sequence[str]:
    """What a route takes: JSON, and what it declares besides; nothing where it takes no body."""
    if route.body_field is None:
        return ()
    declared = (route.openapi_extra or {}).get("requestBody", {}).get("content", {})
    return (JSON, *declared)


def check_media_type(request: Request, taken: Sequence[str]) -> None:
    """Refuse a body of another kind, before any of it is read.

    Raises:
        Problem: 415.
    """
    found: list[str] = []
    has_body = False
    for name, value in request.scope["headers"]:
        if name == b"content-type":
            found.append(value.decode("latin-1"))
        elif name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0")):
            has_body = True
    if not has_body:
        return
    # RFC 9110 section 8.3.1: a media type is followed by parameters, and has no case.
    if len(found) == 1 and found[0].partition(";")[0].strip(" \t").lower() in taken:
        return
    raise Problem(
        415,
        "unsupported-media-type",
        f"Content-Type: expected {' or '.join(taken)}, got {', '.join(found) or 'none'}",
        headers={"Accept": ", ".join(taken)},
    )
