"""The routes of todos: HTTP on one side, the store on the other."""

import re
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Request
from pydantic_core import to_json
from starlette.responses import Response

from backend.todos import pagination, store
from backend.todos.errors import TodoMissing
from backend.todos.list_query import ListQuery, list_query
from backend.todos.models import Todo, TodoDraft, TodoPage, TodoPatch, document
from backend.todos.problems import INVALID_CURSOR, OF_CHANGES, OF_ONE
from serving.data.database import Database
from serving.data.problems import KEY_IN_USE, KEY_REUSED, OF_QUERIES
from serving.feed.follower import Feed
from serving.web.catalogue import INVALID_REQUEST, OF_BODIES
from serving.web.contract import fields, problems
from serving.web.direct import direct
from serving.web.etag import IF_MATCH, condition, etag, joined, matches_weakly
from serving.web.media import MERGE_PATCH
from serving.web.responses import json_response
from serving.web.security import ApiKey

PREFIX = "/api/v1/todos"

LOCATION = {"Location": {"description": "The new todo's URL.", "schema": {"type": "string"}}}
REPLAYED = {
    "Idempotent-Replayed": {
        "description": "`true` where the Idempotency-Key had its todo already.",
        "schema": {"type": "string", "enum": ["true"]},
    }
}

_MOST_IF_NONE_MATCH = 500

IfMatch = Annotated[
    str | None,
    Header(
        description='Only if the todo still has one of these ETags, such as `"3"`.',
        max_length=500,
        pattern=IF_MATCH,
    ),
]
IfNoneMatch = Annotated[
    str | None,
    Header(description="Not if the todo still has this ETag.", max_length=_MOST_IF_NONE_MATCH),
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        description="Makes repeating this request safe: the same key and body create one todo.",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
    ),
]


# As the service writes them (RFC 9562 section 4); other forms are FastAPI's to read.
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _of_one(request: Request) -> tuple[Request, UUID, str | None] | None:
    """The arguments of `read_todo`, where nothing is wrong with them."""
    todo_id = request.path_params["todo_id"]
    if_none_match = request.headers.get("if-none-match")
    if _UUID.fullmatch(todo_id) is None or len(if_none_match or "") > _MOST_IF_NONE_MATCH:
        return None
    return request, UUID(todo_id), if_none_match


def _todo_response(todo: dict[str, Any], status: int = 200) -> Response:
    return json_response(to_json(todo), status, _validated(todo["version"]))


def _validated(version: int) -> dict[str, str]:
    """A client may keep it, and has to ask before it uses it again; a 304 says the same."""
    return {"ETag": etag(version), "Cache-Control": "private, no-cache"}


async def read(database: Database, todo_id: UUID) -> Any:
    """The row of a todo.

    Raises:
        TodoMissing: there is none.
    """
    rows = await database.rows(store.ONE, {"todo_id": todo_id})
    if not rows:
        raise TodoMissing(todo_id)
    return rows[0]


def todo_routes(database: Database, feed: Feed, api_key: ApiKey) -> APIRouter:
    """The routes.

    Args:
        database: where todos are.
        feed: is told of each change that this process has committed.
        api_key: the dependency that names the caller.
    """
    router = APIRouter(
        prefix=PREFIX,
        tags=["todos"],
        dependencies=[Depends(api_key)],
        route_class=api_key.route_class,
    )

    @router.get(
        "",
        operation_id="list_todos",
        summary="List todos",
        response_model=TodoPage,
        responses=problems(*OF_QUERIES, INVALID_REQUEST, INVALID_CURSOR),
        openapi_extra={"parameters": ListQuery.parameters()},
    )
    @direct(lambda request: (request,))
    async def list_todos(request: Request) -> Response:
        """One page of the todos that pass every filter."""
        query = list_query(request.scope["query_string"])
        order = pagination.Sort(query.sort)
        after = None if query.cursor is None else pagination.decode(order, query.cursor)
        rows = await database.rows(*store.page(query.which, order, query.limit, after))
        next_cursor = None
        if len(rows) > query.limit:
            rows = rows[: query.limit]
            next_cursor = pagination.encode(order, order.position(rows[-1]))
        items = [document(row) for row in rows]
        return json_response(to_json({"items": items, "next_cursor": next_cursor}))

    @router.post(
        "",
        operation_id="create_todo",
        summary="Create a todo",
        status_code=201,
        response_model=Todo,
        responses={
            201: {"headers": fields("ETag") | LOCATION | REPLAYED},
            **problems(*OF_QUERIES, *OF_BODIES, KEY_IN_USE, KEY_REUSED),
        },
    )
    async def create_todo(
        request: Request, draft: TodoDraft, idempotency_key: IdempotencyKey = None
    ) -> Response:
        """Create a todo. With an Idempotency-Key a repetition gets the first response again."""
        made = await store.create_alone(
            database, draft, principal=request.scope["principal"], key=idempotency_key
        )
        if isinstance(made, store.Replay):
            response = json_response(made.body, 201, {"ETag": etag(1)})
            response.headers["Idempotent-Replayed"] = "true"
            todo_id = made.todo_id
        else:
            feed.poke()
            response = _todo_response(made, 201)
            todo_id = made["id"]
        response.headers["Location"] = f"{PREFIX}/{todo_id}"
        return response

    @router.get(
        "/{todo_id}",
        operation_id="read_todo",
        summary="Read a todo",
        response_model=Todo,
        responses={
            200: {"headers": fields("ETag")},
            304: {
                "description": "It still has the ETag of If-None-Match.",
                "headers": fields("ETag"),
            },
            **problems(*OF_ONE),
        },
    )
    @direct(_of_one)
    async def read_todo(
        request: Request, todo_id: UUID, if_none_match: IfNoneMatch = None
    ) -> Response:
        """Read one todo."""
        row = await read(database, todo_id)
        version = row["version"]
        if if_none_match is not None and matches_weakly(joined(request, "if-none-match"), version):
            return Response(status_code=304, headers=_validated(version))
        return _todo_response(document(row))

    @router.put(
        "/{todo_id}",
        operation_id="replace_todo",
        summary="Replace a todo",
        response_model=Todo,
        responses={200: {"headers": fields("ETag")}, **problems(*OF_CHANGES, *OF_BODIES)},
    )
    async def replace_todo(
        request: Request, todo_id: UUID, draft: TodoDraft, if_match: IfMatch = None
    ) -> Response:
        """Replace everything a client may say about a todo."""
        todo = await store.change_alone(
            database, todo_id, condition(if_match, request), lambda _: draft
        )
        feed.poke()
        return _todo_response(todo)

    @router.patch(
        "/{todo_id}",
        operation_id="patch_todo",
        summary="Change a todo",
        response_model=Todo,
        responses={200: {"headers": fields("ETag")}, **problems(*OF_CHANGES, *OF_BODIES)},
        openapi_extra={
            "requestBody": {
                "content": {MERGE_PATCH: {"schema": {"$ref": "#/components/schemas/TodoPatch"}}}
            }
        },
    )
    async def patch_todo(
        request: Request, todo_id: UUID, patch: TodoPatch, if_match: IfMatch = None
    ) -> Response:
        """Change some members: a JSON merge patch (RFC 7396)."""
        todo = await store.change_alone(
            database,
            todo_id,
            condition(if_match, request),
            lambda row: patch.applied_to(store.draft_of(row)),
        )
        feed.poke()
        return _todo_response(todo)

    @router.delete(
        "/{todo_id}",
        operation_id="delete_todo",
        summary="Delete a todo",
        status_code=204,
        responses=problems(*OF_CHANGES),
    )
    async def delete_todo(request: Request, todo_id: UUID, if_match: IfMatch = None) -> Response:
        """Delete a todo."""
        await store.remove_alone(database, todo_id, condition(if_match, request))
        feed.poke()
        return Response(status_code=204)

    return router
