"""What clients see of a change feed that they cannot follow."""

from collections.abc import Sequence

from serving.web.catalogue import ProblemType

TYPES: Sequence[ProblemType] = (
    ProblemType(
        slug="foreign-origin",
        status=403,
        meaning="A page of another origin opened the WebSocket.",
        remedy="Have the operator name the page's origin in CORS_ORIGINS.",
    ),
    ProblemType(
        slug="too-many-sockets-of-client",
        status=429,
        meaning="The client holds WS_MAX_CONNECTIONS_PER_CLIENT WebSockets already.",
        remedy="Close one, or share one.",
    ),
    ProblemType(
        slug="too-many-sockets",
        status=503,
        meaning="The replica holds WS_MAX_CONNECTIONS WebSockets already.",
        remedy="Try again after `Retry-After`; another replica may have room.",
    ),
    ProblemType(
        slug="draining",
        status=503,
        meaning="The replica is shutting down.",
        remedy="Connect again: another replica answers.",
    ),
    ProblemType(
        slug="feed-unavailable",
        status=503,
        meaning="The change feed cannot be followed: the database does not answer.",
        remedy="Try again after `Retry-After`.",
    ),
)
