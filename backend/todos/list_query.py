"""The query of a list: filters, order and page, read out of the query string."""

import functools
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from backend.todos.models import TEXT, Moment, Priority, SortOrder, State
from backend.todos.store import Filter

_LISTS = ("state", "priority")


class ListQuery(BaseModel):
    """The query parameters of a list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: int = Field(20, ge=1, le=100, description="Items on a page.")
    cursor: str | None = Field(
        None, max_length=500, description="`next_cursor` of the page before."
    )
    sort: SortOrder = Field("-created_at", description="`-` means falling.")
    state: tuple[State, ...] = Field((), max_length=4, description="Any of these.")
    priority: tuple[Priority, ...] = Field((), max_length=4, description="Any of these.")
    due_from: Moment | None = Field(None, description="Due then or later.")
    due_before: Moment | None = Field(None, description="Due earlier than that.")
    q: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=TEXT)] | None = Field(
        None, description="Text in the title or description, any case."
    )

    @property
    def which(self) -> Filter:
        """The conditions."""
        return Filter(
            states=self.state,
            priorities=self.priority,
            due_from=self.due_from,
            due_before=self.due_before,
            text=self.q,
        )

    @classmethod
    def parameters(cls) -> list[dict[str, Any]]:
        """The parameters for the OpenAPI document."""
        schema = cls.model_json_schema(ref_template="#/components/schemas/{model}")
        parameters = []
        for name, about in schema["properties"].items():
            # A parameter that is not given is None; there is no way to give a null.
            given = [one for one in about.pop("anyOf", []) if one != {"type": "null"}]
            description = about.pop("description")
            if about.get("default") in (None, []):
                about.pop("default", None)
            parameters.append(
                {
                    "name": name,
                    "in": "query",
                    "required": False,
                    "description": description,
                    "schema": {**about, **(given[0] if given else {})},
                }
            )
        return parameters


@functools.lru_cache(maxsize=1024)
def list_query(query_string: bytes) -> ListQuery:
    """Read a query string. Clients ask for the same lists again and again, so answers are kept.

    FastAPI's own reading of eight parameters takes longer than the database does.

    Raises:
        RequestValidationError: a value does not fit.
    """
    given = parse_qs(query_string.decode("latin-1"), keep_blank_values=True)
    # Of several values of one that takes one, nobody knows which is meant.
    values: dict[str, Any] = {
        name: tuple(found) if name in _LISTS or len(found) > 1 else found[0]
        for name, found in given.items()
    }
    try:
        return ListQuery.model_validate(values)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        raise RequestValidationError(
            [{**fault, "loc": ("query", *fault["loc"])} for fault in faults]
        ) from error
