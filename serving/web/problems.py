"""Problem details for HTTP APIs (RFC 9457): the one place where errors become responses."""

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Match

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:todo-backend:problem:"

logger = logging.getLogger(__name__)


class ProblemDetails(BaseModel):
    """The members of a problem document (RFC 9457 section 3.1) and our one extension, `errors`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": f"{TYPE_PREFIX}not-found",
                    "title": "Not Found",
                    "status": 404,
                    "detail": "no todo has the id 0199f0c6-0000-7000-8000-000000000000",
                }
            ]
        }
    )

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, Any]] | None = None


class DatabaseDown(Exception):  # noqa: N818  (a state, in the reader's words)
    """No connection to the database, or one that has fallen silent."""


class DatabaseSlow(Exception):  # noqa: N818
    """A statement took longer than it may."""


class Problem(HTTPException):
    """An error that the client is told about.

    It is an HTTPException so that FastAPI lets it through when it is raised while a body is read.

    Attributes:
        slug: ends the problem's type URI.
        errors: single faults of the request, where there are several.
    """

    def __init__(
        self,
        status: int,
        slug: str,
        detail: str,
        *,
        headers: dict[str, str] | None = None,
        errors: list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(status, detail, headers)
        self.slug = slug
        self.errors = errors


def unavailable(slug: str, detail: str, retry_after: float = 1) -> Problem:
    """503 with Retry-After, in seconds (RFC 9110 section 10.2.3)."""
    return Problem(503, slug, detail, headers={"Retry-After": str(max(1, round(retry_after)))})


def respond(problem: Problem) -> Response:
    """The problem as a response."""
    body: dict[str, Any] = {
        "type": TYPE_PREFIX + problem.slug,
        "title": HTTPStatus(problem.status_code).phrase,
        "status": problem.status_code,
        "detail": problem.detail,
    }
    if problem.errors:
        body["errors"] = problem.errors
    return JSONResponse(
        body, problem.status_code, headers=dict(problem.headers or {}), media_type=MEDIA_TYPE
    )


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


def from_database(error: Exception) -> Problem:
    """503 for a database that is away, slow or full; anything else is a defect and raised."""
    if isinstance(error, PoolTimeoutError):
        return unavailable("database-busy", "every database connection is in use")
    if isinstance(error, IntegrityError):
        raise error
    if isinstance(error, DatabaseSlow) or (
        isinstance(error, DBAPIError) and is_statement_timeout(error)
    ):
        return unavailable("database-slow", "the database took too long")
    if isinstance(error, DBAPIError) and not is_outage(error):
        raise error
    return unavailable("database-unavailable", "the database cannot be reached")


def is_statement_timeout(error: DBAPIError) -> bool:
    """Whether PostgreSQL cancelled the statement (SQLSTATE 57014) or SQLite's lock wait ended."""
    original = error.orig
    return getattr(original, "sqlstate", None) == "57014" or "database is locked" in str(original)


def is_outage(error: DBAPIError) -> bool:
    """Whether the connection or the server, not the statement, is at fault."""
    state = getattr(error.orig, "sqlstate", None)
    if isinstance(state, str):
        return is_outage_state(state)
    return error.connection_invalidated or isinstance(
        getattr(error.orig, "__cause__", None), OSError
    )


def is_outage_state(state: str | None) -> bool:
    """Whether an SQLSTATE speaks of the connection or the server.

    Classes 08 (connection), 53 (resources), 57P (shutdown), and 25006 (a standby, in the middle of
    a failover): PostgreSQL 17, appendix A.
    """
    return state is not None and state.startswith(("08", "53", "57P", "25006"))


def _allowed_methods(request: Request, routes: Sequence[BaseRoute]) -> str:
    """Every method the path has; Starlette names those of the first route only."""
    methods: set[str] = set()
    for route in routes:
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            methods |= getattr(route, "methods", None) or set()
    return ", ".join(sorted(methods))


def install(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Answer every error of the application and of the framework with a problem document.

    Args:
        app: the application.
        routes: all there are, for the Allow of a 405.
    """

    async def on_http(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        problem = from_http_exception(error)
        if problem.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            problem.headers = {"Allow": _allowed_methods(request, routes)}
        return respond(problem)

    async def on_validation(_: Request, error: Exception) -> Response:
        if not isinstance(error, RequestValidationError):
            raise error
        return respond(from_validation(error))

    async def on_database(_: Request, error: Exception) -> Response:
        problem = from_database(error)
        logger.warning("%s: %s", problem.slug, type(error).__name__)
        return respond(problem)

    async def on_defect(_: Request, __: Exception) -> Response:
        return respond(Problem(500, "internal", "an unexpected error; it has been logged"))

    app.add_exception_handler(Exception, on_defect)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_validation)
    for kind in (PoolTimeoutError, DBAPIError, DatabaseDown, DatabaseSlow):
        app.add_exception_handler(kind, on_database)
