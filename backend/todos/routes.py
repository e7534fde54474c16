from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Request
from pydantic_core import to_json
from starlette.responses import Response

from backend.service import Service
from backend.todos import pagination
from backend.todos import store as todos
from backend.todos.list_query import ListQuery, list_query
from backend.todos.models import (
    ParsedTodo,
    ParseRequest,
    Suggestions,
    Todo,
    TodoDraft,
    TodoPage,
    TodoPatch,
    document,
)
from serving.web.problems import MEDIA_TYPE
from serving.web.security import ApiKey

SUGGEST = (
    "You help with a todo list. Propose up to ten short sub-tasks for the todo, the priority it "
    "deserves, and a due date in UTC if one follows from the text, else null."
)
PARSE = (
    "You help with a todo list. Turn the text into one todo: a short title, a description with "
    "what else was said, a priority, a due date in UTC or null, and fitting tags."
)


# What any operation may answer, and any with a body.
_ALWAYS = (401, 414, 431, 500, 503)
_OF_BODIES = (413, 400, 408)


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    about = {
        400: "The body is not UTF-8.",
        401: "An API key is missing or not valid.",
        404: "There is no such todo.",
        408: "The body did not arrive in time.",
        409: "The first request with this Idempotency-Key is not answered yet.",
        412: "The todo has changed: its ETag is not in If-Match.",
        413: "The body is too large.",
        414: "The URL is too long.",
        422: "The request does not fit its schema.",
        431: "The header is too large.",
        500: "An unexpected error.",
        502: "The AI service gave no usable answer.",
        503: "The database or the AI service is unavailable, or busy.",
        504: "The AI service did not answer in time.",
    }
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
    chosen = {*_ALWAYS, *statuses, *(_OF_BODIES if _OF_BODIES[0] in statuses else ())}
    return {status: {"description": about[status], "content": content} for status in sorted(chosen)}


ETAG = {"ETag": {"description": "The version, quoted.", "schema": {"type": "string"}}}
LOCATION = {"Location": {"description": "The new todo's URL.", "schema": {"type": "string"}}}

IfMatch = Annotated[
    str | None,
    Header(
        description='Only if the todo still has one of these ETags, such as `"3"`.',
        max_length=500,
        pattern=r'^(\*|"[0-9]{1,9}"(,[ ]?"[0-9]{1,9}")*)$',
    ),
]
IfNoneMatch = Annotated[
    str | None, Header(description="Not if the todo still has this ETag.", max_length=500)
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

PREFIX = "/api/v1/todos"
router = APIRouter(prefix=PREFIX, tags=["todos"], dependencies=[Depends(ApiKey())])
ai_router = APIRouter(prefix=PREFIX, tags=["ai"], dependencies=[Depends(ApiKey())])


def service_of(request: Request) -> Service:
    """What the application holds."""
    service: Service = request.app.state.service
    return service


def json_response(
    body: bytes, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """A response whose body is JSON already."""
    return Response(body, status, headers, media_type="application/json")


def _todo_response(todo: dict[str, Any], status: int = 200) -> Response:
    headers = {"ETag": todos.etag(todo["version"]), "Cache-Control": "private, no-cache"}
    return json_response(to_json(todo), status, headers)


@router.get(
    "",
    operation_id="list_todos",
    summary="List todos",
    response_model=TodoPage,
    responses=_problems(422),
    openapi_extra={"parameters": ListQuery.parameters()},
)
async def list_todos(request: Request) -> Response:
    """One page of the todos that pass every filter."""
    query = list_query(request.scope["query_string"])
    order = pagination.Sort(query.sort)
    after = None if query.cursor is None else pagination.decode(order, query.cursor)
    rows = await service_of(request).database.rows(
        *todos.page(query.which, order, query.limit, after)
    )
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
    responses={201: {"headers": ETAG | LOCATION}, **_problems(409, 413, 422)},
)
async def create_todo(
    request: Request, draft: TodoDraft, idempotency_key: IdempotencyKey = None
) -> Response:
    """Create a todo. With an Idempotency-Key a repetition gets the first response again."""
    service = service_of(request)
    async with service.database.write() as connection:
        made = await todos.create(
            connection, draft, principal=request.scope["principal"], key=idempotency_key
        )
    if isinstance(made, todos.Replay):
        response = json_response(made.body, 201, {"ETag": todos.etag(1)})
        response.headers["Idempotent-Replayed"] = "true"
        todo_id = made.todo_id
    else:
        service.feed.poke()
        response = _todo_response(made, 201)
        todo_id = made["id"]
    response.headers["Location"] = f"{PREFIX}/{todo_id}"
    return response


@ai_router.post(
    "/parse",
    operation_id="parse_todo",
    summary="Turn a text into a draft",
    response_model=ParsedTodo,
    responses=_problems(413, 422, 502, 504),
)
async def parse_todo(request: Request, text: ParseRequest) -> Response:
    """Have the AI service read a todo out of a text. Nothing is stored."""
    parsed = await service_of(request).ai.ask(PARSE, text.model_dump(), ParsedTodo)
    return json_response(to_json(parsed))


@router.get(
    "/{todo_id}",
    operation_id="read_todo",
    summary="Read a todo",
    response_model=Todo,
    responses={
        200: {"headers": ETAG},
        304: {"description": "It still has the ETag of If-None-Match."},
        **_problems(404, 422),
    },
)
async def read_todo(request: Request, todo_id: UUID, if_none_match: IfNoneMatch = None) -> Response:
    """Read one todo."""
    rows = await service_of(request).database.rows(todos.ONE, {"todo_id": todo_id})
    if not rows:
        raise todos.missing(todo_id)
    version = rows[0]["version"]
    if if_none_match is not None and todos.matches(if_none_match.replace("W/", ""), version):
        return Response(status_code=304, headers={"ETag": todos.etag(version)})
    return _todo_response(document(rows[0]))


@router.put(
    "/{todo_id}",
    operation_id="replace_todo",
    summary="Replace a todo",
    response_model=Todo,
    responses={200: {"headers": ETAG}, **_problems(404, 412, 413, 422)},
)
async def replace_todo(
    request: Request, todo_id: UUID, draft: TodoDraft, if_match: IfMatch = None
) -> Response:
    """Replace everything a client may say about a todo."""
    service = service_of(request)
    async with service.database.write() as connection:
        row = await todos.locked(connection, todo_id, if_match)
        todo = await todos.change(connection, todo_id, draft, row)
    service.feed.poke()
    return _todo_response(todo)


@router.patch(
    "/{todo_id}",
    operation_id="patch_todo",
    summary="Change a todo",
    response_model=Todo,
    responses={200: {"headers": ETAG}, **_problems(404, 412, 413, 422)},
)
async def patch_todo(
    request: Request, todo_id: UUID, patch: TodoPatch, if_match: IfMatch = None
) -> Response:
    """Change some members: a JSON merge patch (RFC 7396)."""
    service = service_of(request)
    async with service.database.write() as connection:
        row = await todos.locked(connection, todo_id, if_match)
        draft = patch.applied_to(todos.draft_of(row))
        todo = await todos.change(connection, todo_id, draft, row)
    service.feed.poke()
    return _todo_response(todo)


@router.delete(
    "/{todo_id}",
    operation_id="delete_todo",
    summary="Delete a todo",
    status_code=204,
    responses=_problems(404, 412, 422),
)
async def delete_todo(request: Request, todo_id: UUID, if_match: IfMatch = None) -> Response:
    """Delete a todo."""
    service = service_of(request)
    async with service.database.write() as connection:
        row = await todos.locked(connection, todo_id, if_match)
        await todos.remove(connection, row)
    service.feed.poke()
    return Response(status_code=204)


@ai_router.post(
    "/{todo_id}/suggestions",
    operation_id="suggest_for_todo",
    summary="Have sub-tasks, priority and due date suggested",
    response_model=Suggestions,
    responses=_problems(404, 422, 502, 504),
)
async def suggest_for_todo(request: Request, todo_id: UUID) -> Response:
    """Have the AI service propose how to go about a todo. Nothing is stored."""
    service = service_of(request)
    rows = await service.database.rows(todos.ONE, {"todo_id": todo_id})
    if not rows:
        raise todos.missing(todo_id)
    todo = document(rows[0])
    data = {name: todo[name] for name in ("title", "description", "priority", "due", "tags")}
    return json_response(to_json(await service.ai.ask(SUGGEST, data, Suggestions)))
