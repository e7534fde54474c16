"""Responses whose body is made already."""

from starlette.responses import Response


def json_response(
    body: bytes, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """A response whose body is JSON already."""
    return Response(body, status, headers, media_type="application/json")
