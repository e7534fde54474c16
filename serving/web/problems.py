"""Problem details for HTTP APIs (RFC 9457): the one place where errors become responses."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from pydantic.config import JsonDict
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from serving.web.catalogue import PREFIX

MEDIA_TYPE = "application/problem+json"

logger = logging.getLogger(__name__)


class Fault(BaseModel):
    """One of several faults of a request."""

    location: list[str] = Field(
        description="Where: `body`, `query`, `path` or `header`, then names and indices.",
        examples=[["body", "title"]],
    )
    message: str = Field(description="What was expected.")


def _without_default(schema: JsonDict) -> None:
    # Absent rather than empty.
    schema.pop("default", None)


class ProblemDetails(BaseModel):
    """The members of a problem document (RFC 9457 section 3.1) and our one extension, `errors`."""

    type: str = Field(
        description="The path at which the service explains it.",
        json_schema_extra={"format": "uri-reference"},
    )
    title: str = Field(description="The status in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What was expected, and what came.")
    errors: list[Fault] = Field(
        [],
        description="Each fault, where there may be several.",
        json_schema_extra=_without_default,
    )


class Problem(HTTPException):
    """An error that the client is told about.

    It is an HTTPException so that FastAPI lets it through when it is raised while a body is read.

    Attributes:
        slug: ends the problem's type URI.
        errors: single faults of the request, where there are several.
        warns: whether it is a fault of what we depend on, which the log has to tell of.
    """

    def __init__(
        self,
        status: int,
        slug: str,
        detail: str,
        *,
        headers: dict[str, str] | None = None,
        errors: list[dict[str, Any]] | None = None,
        warns: bool = False,
    ) -> None:
        super().__init__(status, detail, headers)
        self.slug = slug
        self.errors = errors
        self.warns = warns


# Errors of other rooms, by their class, and the problems that clients see of them.
type Translations = Mapping[type[Exception], Callable[[Any], Problem]]


def unavailable(slug: str, detail: str, retry_after: float = 1, *, warns: bool = False) -> Problem:
    """503 with Retry-After, in seconds (RFC 9110 section 10.2.3)."""
    headers = {"Retry-After": str(max(1, round(retry_after)))}
    return Problem(503, slug, detail, headers=headers, warns=warns)


class Problems:
    """Writes problem documents."""

    def document(self, status: int, slug: str, detail: str) -> dict[str, Any]:
        """The members of a problem document."""
        return {
            "type": PREFIX + slug,
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
        }

    def respond(self, problem: Problem) -> Response:
        """The problem as a response."""
        body = self.document(problem.status_code, problem.slug, problem.detail)
        if problem.errors:
            body["errors"] = problem.errors
        # What a client sent may be quoted, half characters (lone surrogates) too: escaped.
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        return Response(
            content.encode("utf-8", "backslashreplace"),
            problem.status_code,
            headers=dict(problem.headers or {}),
            media_type=MEDIA_TYPE,
        )

    def schemas(self, detail: str) -> dict[str, Any]:
        """The JSON schemas of problem documents; `detail` is that of a 404, for the example."""
        schema = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
        return {
            **schema.pop("$defs"),
            "ProblemDetails": {**schema, "examples": [self.document(404, "not-found", detail)]},
        }

    def install(
        self, app: FastAPI, routes: Sequence[BaseRoute], translations: Translations
    ) -> None:
        """Answer every error of the application and of the framework with a problem document.

        Args:
            app: the application.
            routes: all there are, for the Allow of a 405.
            translations: the errors of other rooms, and what they become; what a translation
                raises instead of returning is a defect.
        """

        async def on_http(request: Request, error: Exception) -> Response:
            if not isinstance(error, HTTPException):
                raise error
            problem = from_http_exception(error)
            if problem.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
                problem.headers = {"Allow": _allowed_methods(request, routes)}
            return self._answer(request, problem)

        async def on_validation(request: Request, error: Exception) -> Response:
            if not isinstance(error, RequestValidationError):
                raise error
            written_out = _written_out(request, routes)
            if written_out and request.method not in _methods(written_out):
                # The parameter that it does not fit belongs to another path.
                return await on_http(request, HTTPException(HTTPStatus.METHOD_NOT_ALLOWED))
            return self._answer(request, from_validation(error))

        async def on_defect(request: Request, _: Exception) -> Response:
            problem = Problem(500, "internal", "an unexpected error; it has been logged")
            return self._answer(request, problem)

        missing = app.router.default

        async def on_no_route(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "websocket":
                await missing(scope, receive, send)
                return
            # Starlette refuses the handshake with 403, and says nothing.
            problem = Problem(404, "not-found", "there is no WebSocket at this path")
            await WebSocket(scope, receive, send).send_denial_response(self.respond(problem))

        app.router.default = on_no_route
        app.add_exception_handler(Exception, on_defect)
        app.add_exception_handler(HTTPException, on_http)
        app.add_exception_handler(RequestValidationError, on_validation)
        for kind, translate in translations.items():
            app.add_exception_handler(kind, self._translated(translate))

    def _answer(self, request: Request, problem: Problem) -> Response:
        """The response, of which the request's line in the log says what it was."""
        request.scope["problem"] = problem.slug
        return self.respond(problem)

    def _translated(self, translate: Callable[[Any], Problem]) -> Any:
        async def on_error(request: Request, error: Exception) -> Response:
            problem = translate(error)
            if problem.warns:
                cause = error.__cause__ or error
                logger.warning("%s: %s", problem.slug, type(cause).__name__)
            return self._answer(request, problem)

        return on_error


def from_http_exception(error: HTTPException) -> Problem:
    """A framework's error, which has a status and a phrase at most."""
    if isinstance(error, Problem):
        return error
    slug = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    return Problem(error.status_code, slug, str(error.detail), headers=dict(error.headers or {}))


def from_validation(error: RequestValidationError) -> Problem:
    """422 with each fault's place and reason; the input is not echoed, it may be a secret."""
    errors = [
        {"location": [str(part) for part in one["loc"]], "message": one["msg"]}
        for one in error.errors()
    ]
    return Problem(422, "invalid-request", "the request does not fit its schema", errors=errors)


def _allowed_methods(request: Request, routes: Sequence[BaseRoute]) -> str:
    """Every method the path has; Starlette names those of the first route only."""
    fitting = _written_out(request, routes) or [
        route for route in routes if route.matches(request.scope)[0] is not Match.NONE
    ]
    return ", ".join(sorted(_methods(fitting)))


def _written_out(request: Request, routes: Sequence[BaseRoute]) -> Sequence[BaseRoute]:
    """Routes whose path, without a parameter, is the request's.

    It is nobody else's then, though a parameter would fit it too.
    """
    return [route for route in routes if getattr(route, "path", None) == request.scope["path"]]


def _methods(routes: Sequence[BaseRoute]) -> set[str]:
    return {method for route in routes for method in getattr(route, "methods", None) or ()}
