"""What clients see of the errors of this room."""

from collections.abc import Sequence

from serving.data.errors import DatabaseBusy, DatabaseDown, DatabaseSlow
from serving.data.idempotency import KeyInUse, KeyReused
from serving.web.catalogue import ProblemType
from serving.web.problems import Problem, Translations, unavailable

DATABASE_BUSY = ProblemType(
    slug="database-busy",
    status=503,
    meaning="Every database connection is in use.",
    remedy="Try again after `Retry-After`.",
)
DATABASE_UNAVAILABLE = ProblemType(
    slug="database-unavailable",
    status=503,
    meaning="The database cannot be reached.",
    remedy="Try again after `Retry-After`; nothing was changed, unless the connection broke while "
    "the change was committed: an Idempotency-Key makes a repetition safe.",
)
DATABASE_SLOW = ProblemType(
    slug="database-slow",
    status=503,
    meaning="The database took too long.",
    remedy="Try again after `Retry-After`, or ask for less.",
)
KEY_IN_USE = ProblemType(
    slug="idempotency-key-in-use",
    status=409,
    meaning="The first request with this Idempotency-Key is not answered yet.",
    remedy="Try again after `Retry-After`, with the same key and body.",
)
KEY_REUSED = ProblemType(
    slug="idempotency-key-reused",
    status=422,
    meaning="The Idempotency-Key came before with another body.",
    remedy="Use a new key for another request.",
)
OF_QUERIES = (DATABASE_BUSY, DATABASE_UNAVAILABLE, DATABASE_SLOW)
TYPES: Sequence[ProblemType] = (*OF_QUERIES, KEY_IN_USE, KEY_REUSED)

PROBLEMS: Translations = {
    DatabaseBusy: lambda _: unavailable(
        "database-busy", "every database connection is in use", warns=True
    ),
    DatabaseDown: lambda _: unavailable(
        "database-unavailable", "the database cannot be reached", warns=True
    ),
    DatabaseSlow: lambda _: unavailable("database-slow", "the database took too long", warns=True),
    KeyInUse: lambda _: Problem(
        409,
        "idempotency-key-in-use",
        "Idempotency-Key: the first request with it is not answered yet; try again",
        headers={"Retry-After": "1"},
    ),
    KeyReused: lambda _: Problem(
        422, "idempotency-key-reused", "Idempotency-Key: it came before with another body"
    ),
}
