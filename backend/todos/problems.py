"""What clients see of the store's errors."""

from collections.abc import Sequence

from backend.todos.errors import BadCursor, StaleVersion, TodoMissing
from serving.data.problems import OF_QUERIES
from serving.web.catalogue import INVALID_REQUEST, NOT_FOUND, ProblemType
from serving.web.etag import etag
from serving.web.problems import Problem, Translations

VERSION_MISMATCH = ProblemType(
    slug="version-mismatch",
    status=412,
    meaning="The todo has changed: its ETag is not in If-Match.",
    remedy="Read it again, and repeat the change with the new ETag.",
)
INVALID_CURSOR = ProblemType(
    slug="invalid-cursor",
    status=422,
    meaning="The cursor is not one of this service's, or of a list in another order.",
    remedy="Begin with the first page.",
)
TYPES: Sequence[ProblemType] = (VERSION_MISMATCH, INVALID_CURSOR)
# What operations on one todo may answer, and those that change it.
OF_ONE = (*OF_QUERIES, NOT_FOUND, INVALID_REQUEST)
OF_CHANGES = (*OF_ONE, VERSION_MISMATCH)


def _from_stale(error: StaleVersion) -> Problem:
    """412 with the current ETag, where there is one (RFC 9110 section 15.5.13)."""
    if error.version is None:
        return Problem(412, "version-mismatch", str(error))
    tag = etag(error.version)
    return Problem(
        412,
        "version-mismatch",
        f"If-Match: got {error.accepts}, but the todo's ETag is {tag}; read it again",
        headers={"ETag": tag},
    )


PROBLEMS: Translations = {
    TodoMissing: lambda error: Problem(404, "not-found", str(error)),
    StaleVersion: _from_stale,
    BadCursor: lambda error: Problem(422, "invalid-cursor", f"cursor: {error}"),
}
