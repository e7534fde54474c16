"""The routes of suggestions. They ask the AI service and store nothing."""

from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic_core import to_json
from starlette.responses import Response

from backend.suggestions.client import AiClient
from backend.suggestions.models import ParsedTodo, ParseRequest, Suggestions
from backend.suggestions.problems import TYPES
from backend.suggestions.prompts import PARSE, SUGGEST
from backend.todos.models import document
from backend.todos.problems import OF_ONE
from backend.todos.routes import PREFIX, read
from serving.data.database import Database
from serving.web.catalogue import OF_BODIES
from serving.web.contract import problems
from serving.web.responses import json_response
from serving.web.security import ApiKey


def suggestion_routes(database: Database, ai: AiClient, api_key: ApiKey) -> APIRouter:
    """The routes.

    Args:
        database: where todos are; no connection is held while the AI service is asked.
        ai: the AI service.
        api_key: the dependency that names the caller.
    """
    router = APIRouter(
        prefix=PREFIX,
        tags=["ai"],
        dependencies=[Depends(api_key)],
        route_class=api_key.route_class,
    )

    @router.post(
        "/parse",
        operation_id="parse_todo",
        summary="Turn a text into a draft",
        response_model=ParsedTodo,
        responses=problems(*OF_BODIES, *TYPES),
    )
    async def parse_todo(text: ParseRequest) -> Response:
        """Have the AI service read a todo out of a text. Nothing is stored."""
        parsed = await ai.ask(PARSE, text.model_dump(), ParsedTodo)
        return json_response(to_json(parsed))

    @router.post(
        "/{todo_id}/suggestions",
        operation_id="suggest_for_todo",
        summary="Have sub-tasks, priority and due date suggested",
        response_model=Suggestions,
        responses=problems(*OF_ONE, *TYPES),
    )
    async def suggest_for_todo(todo_id: UUID) -> Response:
        """Have the AI service propose how to go about a todo. Nothing is stored."""
        todo = document(await read(database, todo_id))
        data = {name: todo[name] for name in ("title", "description", "priority", "due", "tags")}
        return json_response(to_json(await ai.ask(SUGGEST, data, Suggestions)))

    return router
