"""The feed as consumers of the API find it: an AsyncAPI 3 document beside the OpenAPI one."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fastapi import APIRouter
from pydantic_core import to_json
from starlette.responses import Response

from serving.web.responses import json_response
from serving.web.security import BEARER_SUBPROTOCOL

PATH = "/asyncapi.json"

# RFC 6455 section 7.4.1, and 1013 from the IANA registry; docs/websocket.md says what to do.
CLOSE_CODES = {
    1001: "The replica is shutting down: connect again, to another.",
    1003: "The client sent something else than text.",
    1008: "The client sent too many messages, or its key is no longer valid.",
    1009: "The client sent a message that is too large.",
    1011: "The client did not answer a ping in time.",
    1013: "The client read too slowly: connect again and resume.",
}

_ID = {"type": "integer", "minimum": 0, "description": "Rises from event to event, with gaps."}


def document(
    *,
    title: str,
    version: str,
    address: str,
    subprotocol: str,
    member: str,
    payloads: Mapping[str, Mapping[str, Any]],
    openapi: Mapping[str, Any],
) -> dict[str, Any]:
    """The document of a service with one feed.

    Args:
        title: of the service.
        version: of the service.
        address: path of the WebSocket.
        subprotocol: that a client may offer.
        member: of an event's message that holds its payload.
        payloads: the schema of the payload, by the kind of event.
        openapi: the service's OpenAPI document, whose schemas payloads refer to.
    """
    schemas = openapi["components"]["schemas"]
    messages = {
        "hello": _message(
            "First: events after `last_event_id` follow.",
            {"kind": {"const": "hello"}, "last_event_id": _ID},
        ),
        "reset": _message(
            "Too much was missed, or what was told was lost in a failover: read the list again. "
            "Events after `last_event_id` follow.",
            {"kind": {"const": "reset"}, "last_event_id": _ID},
        ),
    }
    for kind, payload in payloads.items():
        messages[kind] = _message(
            f"Something was {kind}.", {"id": _ID, "kind": {"const": kind}, member: payload}
        )
    used = {name: schemas[name] for name in sorted(_referred(payloads, schemas))}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": title, "version": version, "description": "The change feed."},
        "defaultContentType": "application/json",
        "channels": {"feed": _channel(address, subprotocol, list(messages))},
        "operations": {
            "follow": {
                "action": "send",
                "channel": {"$ref": "#/channels/feed"},
                "summary": "Tell of each change, on whichever replica, in order.",
                "messages": [{"$ref": f"#/channels/feed/messages/{name}"} for name in messages],
                "security": [{"$ref": "#/components/securitySchemes/bearerKey"}],
            }
        },
        "components": {
            "messages": messages,
            "schemas": used,
            "securitySchemes": {"bearerKey": openapi["components"]["securitySchemes"]["bearerKey"]},
        },
    }


def description_routes(describe: Callable[[], dict[str, Any]]) -> APIRouter:
    """The route of the document, for where the OpenAPI document is served too."""
    router = APIRouter(include_in_schema=False)

    @router.get(PATH)
    async def asyncapi() -> Response:
        return json_response(to_json(describe()))

    return router


def _message(summary: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "summary": summary,
        "payload": {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        },
    }


def _channel(address: str, subprotocol: str, messages: list[str]) -> dict[str, Any]:
    return {
        "address": address,
        "description": (
            "A WebSocket. The service expects nothing but pongs. A refused handshake is an HTTP "
            f"response with a problem document. Offer the subprotocol `{subprotocol}`; where keys "
            f"are in use, send one in `Authorization`, or offer `{BEARER_SUBPROTOCOL}KEY` beside "
            "it, as browsers have to."
        ),
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {
            "ws": {
                "method": "GET",
                "query": {
                    "type": "object",
                    "properties": {
                        "last_event_id": {
                            **_ID,
                            "description": "The last id seen: what was missed follows `hello`.",
                        }
                    },
                },
                "bindingVersion": "0.1.0",
            }
        },
        "x-close-codes": {str(code): meaning for code, meaning in CLOSE_CODES.items()},
    }


def _referred(part: Any, schemas: Mapping[str, Any]) -> set[str]:
    """The names of all schemas that a part of a document leads to."""
    found: set[str] = set()
    waiting = list(_references(part))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _references(schemas[name])
    return found


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, Mapping):
        for key, value in part.items():
            if key == "$ref":
                yield value.removeprefix("#/components/schemas/")
            else:
                yield from _references(value)
    elif isinstance(part, list):
        for one in part:
            yield from _references(one)
