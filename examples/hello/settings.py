"""The settings: those of every service, and one more."""

from pydantic import Field

from serving.process.settings import ServiceSettings


class Settings(ServiceSettings):
    """What the service can be told."""

    salutation: str = Field("Hello", max_length=20, description="What a greeting begins with.")
