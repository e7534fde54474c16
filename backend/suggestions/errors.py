"""What can go wrong with the AI service."""

from typing import ClassVar

from serving.upstream.errors import UpstreamFailure


class AiFailure(UpstreamFailure):
    """A call of the AI service failed."""

    service: ClassVar[str] = "ai"
    title: ClassVar[str] = "the AI service"


class AiNotConfigured(Exception):  # noqa: N818  (a state, in the reader's words)
    """There is no AI service to call."""
