"""The models of suggestions: what clients send, and what the AI service has to answer."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from backend.todos.models import (
    DRAFT_EXAMPLE,
    TEXT,
    Description,
    Moment,
    Priority,
    Tags,
    Title,
)


class Suggestions(BaseModel):
    """What the AI service proposes for a todo. Nothing is stored."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "subtasks": ["Order the certificate", "Install it", "Check the chain"],
                    "priority": "high",
                    "due": "2030-06-25T09:00:00Z",
                }
            ]
        },
    )

    subtasks: list[Title] = Field(max_length=10)
    priority: Priority
    due: Moment | None


class ParseRequest(BaseModel):
    """A todo in a person's own words."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"text": "renew the TLS certificate by Friday, it's urgent"}]
        },
    )

    text: Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=TEXT)]


class ParsedTodo(BaseModel):
    """A draft that the AI service read out of a text. Nothing is stored."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{k: v for k, v in DRAFT_EXAMPLE.items() if k != "state"}],
        },
    )

    title: Title
    description: Description
    priority: Priority
    due: Moment | None
    tags: Tags
