"""The models of todos: what clients say, what they get, and what a row becomes."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)
from pydantic.config import JsonDict

from backend.todos.tables import DESCRIPTION_MAX, TAG_MAX, TAGS_MAX, TITLE_MAX
from serving.data.types import EARLIEST, LATEST

# One line without surrounding blanks or control characters.
LINE = r"^[^\x00-\x20\x7f]([^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?$"
# PostgreSQL's text cannot hold NUL.
TEXT = r"^[^\x00]*$"
RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


class State(StrEnum):
    """Where a todo stands."""

    OPEN = "open"
    IN_PROGRESS = "in_progress"
    DONE = "done"
    CANCELLED = "cancelled"


class Priority(StrEnum):
    """How much a todo matters, in rising order."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"


PRIORITY_RANKS = {priority: rank for rank, priority in enumerate(Priority)}
PRIORITY_NAMES = [priority.value for priority in Priority]


def _only_rfc3339(value: object) -> object:
    """Numbers and bare dates are guesses about what the client meant."""
    if isinstance(value, str) and not RFC3339.fullmatch(value):
        raise ValueError("should be a date and time with an offset, as in RFC 3339")
    if not isinstance(value, str | datetime | None):
        raise ValueError("should be a string with a date and time, as in RFC 3339")  # noqa: TRY004
    return value


def _in_utc(value: datetime) -> datetime:
    try:
        moment = value.astimezone(UTC)
    except OverflowError:
        moment = LATEST
    if not EARLIEST <= moment < LATEST:
        raise ValueError("should be from 0001-01-02 to 9999-12-30 in UTC")
    return moment


def _all_different(value: list[str]) -> list[str]:
    if len(set(value)) != len(value):
        raise ValueError("should not hold a tag twice")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_only_rfc3339), AfterValidator(_in_utc)]
Title = Annotated[str, StringConstraints(min_length=1, max_length=TITLE_MAX, pattern=LINE)]
Description = Annotated[str, StringConstraints(max_length=DESCRIPTION_MAX, pattern=TEXT)]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=TAG_MAX, pattern=LINE)]
Tags = Annotated[
    list[Tag],
    Field(max_length=TAGS_MAX, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_all_different),
]

DRAFT_EXAMPLE: dict[str, Any] = {
    "title": "Renew the TLS certificate",
    "description": "Expires at the end of the month.",
    "state": "open",
    "priority": "high",
    "due": "2030-06-28T09:00:00Z",
    "tags": ["ops", "security"],
}
TODO_EXAMPLE: dict[str, Any] = {
    "id": "01976f3a-6f50-7d6e-9b43-0d7a4b2c9e11",
    **DRAFT_EXAMPLE,
    "version": 1,
    "created_at": "2030-06-01T08:30:00Z",
    "updated_at": "2030-06-01T08:30:00Z",
}


class TodoDraft(BaseModel):
    """What a client says about a todo: to create one, or to replace one."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [DRAFT_EXAMPLE]})

    title: Title = Field(description="One line.")
    description: Description = ""
    state: State = State.OPEN
    priority: Priority = Priority.NORMAL
    due: Moment | None = Field(None, description="RFC 3339 with an offset; kept in UTC.")
    tags: Tags = []


def _without_default(schema: JsonDict) -> None:
    schema.pop("default", None)


def _absent(description: str, default: Any = None) -> Any:
    """A member of a patch. What is absent stays as it is, so that no default is documented."""
    return Field(default, description=description, json_schema_extra=_without_default)


class TodoPatch(BaseModel):
    """A JSON merge patch (RFC 7396): what is absent stays, null goes back to a draft's default."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"state": "done", "due": None}]}
    )

    title: Title = _absent("One line. It cannot be null.", "")
    description: Description | None = _absent("null empties it.")
    state: State | None = _absent("null means `open`.")
    priority: Priority | None = _absent("null means `normal`.")
    due: Moment | None = _absent("RFC 3339 with an offset; kept in UTC. null takes it away.")
    tags: Tags | None = _absent("null takes all away.")

    def applied_to(self, draft: TodoDraft) -> TodoDraft:
        """The patched draft."""
        merged: dict[str, Any] = {name: getattr(draft, name) for name in TodoDraft.model_fields}
        for name in self.model_fields_set:
            value = getattr(self, name)
            if value is None:
                value = TodoDraft.model_fields[name].get_default()
            merged[name] = value
        return TodoDraft.model_construct(**merged)


class Todo(BaseModel):
    """A stored todo."""

    model_config = ConfigDict(json_schema_extra={"examples": [TODO_EXAMPLE]})

    id: UUID
    title: str
    description: str
    state: State
    priority: Priority
    due: AwareDatetime | None
    tags: list[str]
    version: int = Field(ge=1, description="Rises with each change; the ETag holds it.")
    created_at: AwareDatetime
    updated_at: AwareDatetime


class TodoPage(BaseModel):
    """One page of a list."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"items": [TODO_EXAMPLE], "next_cursor": "WyItY3JlYXRlZF9hdCJd"}]
        }
    )

    items: list[Todo]
    next_cursor: str | None = Field(description="For the next page; null on the last.")


SortOrder = Literal[
    "created_at",
    "-created_at",
    "updated_at",
    "-updated_at",
    "due",
    "-due",
    "priority",
    "-priority",
]


def document(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row of `todos` as the members of a `Todo`, in their order.

    A plain dict: validating what the database's constraints already hold costs more than the query.
    """
    return {
        "id": row["id"],
        "title": row["title"],
        "description": row["description"],
        "state": row["state"],
        "priority": PRIORITY_NAMES[row["priority"]],
        "due": row["due"],
        "tags": row["tags"],
        "version": row["version"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }
