"""Declarations of problems for the OpenAPI document."""

from collections.abc import Iterable, Mapping
from typing import Any

from serving.web.catalogue import INVALID_REQUEST, OF_ALL, UNAUTHORIZED, ProblemType
from serving.web.problems import MEDIA_TYPE

type Responses = dict[int | str, dict[str, Any]]

_TEXT = {"schema": {"type": "string"}}
# Fields that come with a status; RFC 9110 sections 10.2.1, 10.2.3, 11.6.1 and 15.5.16.
FIELDS: Mapping[int, str] = {
    401: "WWW-Authenticate",
    405: "Allow",
    409: "Retry-After",
    412: "ETag",
    415: "Accept",
    502: "Retry-After",
    503: "Retry-After",
    504: "Retry-After",
}
HEADERS: Mapping[str, Any] = {
    "Accept": {"description": "The media types that the operation takes.", **_TEXT},
    "Allow": {"description": "The methods that the path has.", **_TEXT},
    "ETag": {"description": "The version, quoted.", **_TEXT},
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}},
    "WWW-Authenticate": {"description": "The challenge: `Bearer`.", **_TEXT},
    "X-Request-ID": {
        "description": "The request's own, or a new one; the log has it as `request_id`.",
        **_TEXT,
    },
}


def fields(*names: str) -> dict[str, Any]:
    """The `headers` of a response, of those in `HEADERS`."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def problems(*types: ProblemType, keyed: bool = True) -> Responses:
    """The `responses` of an operation: the problems it may answer with, by status.

    Args:
        types: beyond those of every operation.
        keyed: whether the operation demands an API key.
    """
    chosen = {*OF_ALL, *types, *((UNAUTHORIZED,) if keyed else ())}
    by_status: dict[int, list[ProblemType]] = {}
    for one in sorted(chosen, key=lambda one: (one.status, one.slug)):
        by_status.setdefault(one.status, []).append(one)
    return {status: _response(status, ones) for status, ones in by_status.items()}


def _response(status: int, types: list[ProblemType]) -> dict[str, Any]:
    examples = {one.slug: {"$ref": f"#/components/examples/{one.slug}"} for one in types}
    response: dict[str, Any] = {
        "description": " ".join(one.meaning for one in types),
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/ProblemDetails"},
                "examples": examples,
            }
        },
    }
    if status in FIELDS:
        response["headers"] = fields(FIELDS[status])
    return response


def complete(document: dict[str, Any], types: Iterable[ProblemType]) -> None:
    """Put into a document what the declarations above refer to.

    Every response gets X-Request-ID, and FastAPI's own 422, which no route answers with, becomes
    the problem that is.

    Args:
        document: as FastAPI makes it; changed in place.
        types: all that its responses may have.
    """
    components = document["components"]
    components["headers"] = dict(HEADERS)
    components["examples"] = {
        one.slug: {
            "value": {
                "type": one.path,
                "title": one.title,
                "status": one.status,
                "detail": one.meaning,
            }
        }
        for one in types
    }
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    for operations in document["paths"].values():
        for operation in operations.values():
            responses = operation["responses"]
            if "HTTPValidationError" in str(responses.get("422")):
                responses["422"] = _response(422, [INVALID_REQUEST])
            for response in responses.values():
                response["headers"] = response.get("headers", {}) | fields("X-Request-ID")
