"""What clients see of the AI service's errors."""

from collections.abc import Sequence

from backend.suggestions.errors import AiFailure, AiNotConfigured
from serving.upstream import problems as upstream
from serving.web.catalogue import ProblemType
from serving.web.problems import Translations, unavailable

TYPES: Sequence[ProblemType] = (
    *upstream.types(AiFailure),
    ProblemType(
        slug="ai-not-configured",
        status=503,
        meaning="No AI service is configured.",
        remedy="Have the operator set AI_BASE_URL.",
    ),
    ProblemType(
        slug="ai-not-json",
        status=502,
        meaning="The AI service answered with something else than expected.",
        remedy="Try again; if it stays, tell the operator.",
    ),
    ProblemType(
        slug="ai-wrong-schema",
        status=502,
        meaning="The AI service gave an answer that does not fit the schema.",
        remedy="Try again, with other words perhaps.",
    ),
)

PROBLEMS: Translations = {
    **upstream.PROBLEMS,
    AiNotConfigured: lambda _: unavailable(
        "ai-not-configured", "no AI service is configured (AI_BASE_URL)", 3600
    ),
}
