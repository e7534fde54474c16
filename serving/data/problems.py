"""What clients see of the errors of this room."""

from serving.data.errors import DatabaseBusy, DatabaseDown, DatabaseSlow
from serving.data.idempotency import KeyInUse, KeyReused
from serving.web.problems import Problem, Translations, unavailable

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
