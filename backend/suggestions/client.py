"""The client of an OpenAI-compatible chat-completions API.

No caller should hold a database connection while it asks.
"""

import json
from typing import Any

from pydantic import BaseModel, ValidationError

from backend.identity import IDENTITY
from backend.suggestions.errors import AiFailure, AiNotConfigured
from backend.suggestions.prompts import completion
from backend.suggestions.settings import AiSettings
from serving.settings.rotation import Rotating
from serving.upstream.client import Peer, UpstreamClient
from serving.upstream.metrics import UpstreamMetrics
from serving.watch.spans import Tracer


def ai_peer(settings: AiSettings) -> Peer:
    """The AI service that the settings name; a changed AI_API_KEY_FILE changes its key."""
    secrets = Rotating(settings, "ai_api_key")

    def credentials() -> dict[str, str]:
        key = secrets.current.ai_api_key
        return {} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"}

    return Peer(
        name="ai",
        base_url=settings.ai_base_url,
        headers={"User-Agent": IDENTITY.name},
        probe_path="models",
        credentials=credentials,
    )


class AiClient(UpstreamClient):
    """Asks the AI service."""

    def __init__(
        self, settings: AiSettings, metrics: UpstreamMetrics, tracer: Tracer | None = None
    ) -> None:
        super().__init__(ai_peer(settings), settings.ai_limits, metrics, AiFailure, tracer)
        self._model = settings.ai_model

    async def ask[Answer: BaseModel](
        self, instructions: str, data: dict[str, Any], answer: type[Answer]
    ) -> Answer:
        """Have the service turn data into a validated answer.

        Args:
            instructions: what to do; ours alone.
            data: what users wrote. The schema is checked afterwards, whatever it made the model
                say.
            answer: the model that the answer has to fit, without any member more.

        Raises:
            AiNotConfigured: there is no service.
            AiFailure: it gave no usable answer in time.
        """
        if not self.is_configured:
            raise AiNotConfigured
        body = completion(self._model, instructions, data, answer)
        return await self.post("chat/completions", body, lambda text: _parse(text, answer))


def _parse[Answer: BaseModel](body: bytes, answer: type[Answer]) -> Answer:
    try:
        content = json.loads(body)["choices"][0]["message"]["content"]
        if not isinstance(content, str):
            raise TypeError("content")
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise AiFailure("not-json", 502, "answered with something else than expected") from error
    try:
        return answer.model_validate_json(content)
    except ValidationError as error:
        # The model's fault, not the service's: no reason to stop calling it.
        raise AiFailure(
            "wrong-schema", 502, "gave an answer that does not fit the schema", trips=False
        ) from error
