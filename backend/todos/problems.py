"""What clients see of the store's errors."""

from backend.todos.errors import BadCursor, StaleVersion, TodoMissing
from serving.web.etag import etag
from serving.web.problems import Problem, Translations


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
