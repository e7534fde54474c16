"""What clients see of the AI service's errors."""

from backend.suggestions.errors import AiNotConfigured
from serving.upstream import problems as upstream
from serving.web.problems import Translations, unavailable

PROBLEMS: Translations = {
    **upstream.PROBLEMS,
    AiNotConfigured: lambda _: unavailable(
        "ai-not-configured", "no AI service is configured (AI_BASE_URL)", 3600
    ),
}
