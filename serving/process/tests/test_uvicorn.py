"""What is used of uvicorn beyond its documented interface, and in which version it was read.

uvicorn promises nothing of its protocols. requirements.in therefore caps it; whoever raises the cap
reads the parts below again, in the new version, and then changes `READ_IN`.
"""

import ast
import inspect
import re
from pathlib import Path
from types import ModuleType

import httptools
import pytest
import uvicorn
import websockets
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from serving.process import http, server, websocket

READ_IN = (0, 54)

# Methods that are overridden or called, and attributes that are read or set.
PARTS: dict[type, tuple[ModuleType, str, set[str]]] = {
    HttpToolsProtocol: (
        http,
        "LimitedHttp",
        {
            *("connection_lost", "connection_made", "connections", "cycle", "data_received"),
            *("eof_received", "flow", "handle_websocket_upgrade", "headers", "loop", "on_body"),
            *("on_headers_complete", "on_message_complete", "on_response_complete", "parser"),
            *("pause_writing", "resume_writing", "server_state", "shutdown", "transport", "url"),
            *("_should_upgrade", "expect_100_continue"),
        },
    ),
    WebSocketsSansIOProtocol: (
        websocket,
        "LimitedWebSocket",
        {
            *("app", "close_sent", "close_timer", "conn", "connection_lost", "connection_made"),
            *("curr_msg_data_type", "data_received", "disconnected", "frames", "handle_bytes"),
            *("handle_connect", "handle_cont", "handle_parser_exception", "handle_ping"),
            *("handle_pong", "handle_text", "handshake_complete", "handshake_initiated"),
            *("initial_response", "keepalive_timeout", "loop", "queue", "read_paused", "scope"),
            *("send_receive_event_to_app", "shutdown", "stop_keepalive", "transport", "writable"),
        },
    ),
    uvicorn.Server: (
        server,
        "Server",
        {"_captured_signals", "capture_signals", "handle_exit", "on_tick", "should_exit"},
    ),
}

# Of the request that is being answered.
CYCLE = (
    *("disconnected", "keep_alive", "message_event", "more_body", "response_complete"),
    *("response_started", "transport", "waiting_for_100_continue"),
)
# The parsers beneath, whose limits and whose silence about some faults the protocols make up for.
PARSERS = {httptools: (0, 9), websockets: (17, 4)}


def of_base(module: ModuleType, name: str, base: type) -> set[str]:
    """What a class takes of its base: attributes of `self` or `super()` that are not its own."""
    tree = ast.parse(inspect.getsource(module))
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    methods = {
        node.name for node in body.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    used = {
        node.attr
        for node in ast.walk(body)
        if isinstance(node, ast.Attribute)
        and (
            (isinstance(node.value, ast.Name) and node.value.id == "self")
            or (isinstance(node.value, ast.Call) and ast.unparse(node.value) == "super()")
        )
    }
    text = inspect.getsource(base) + "".join(
        inspect.getsource(one) for one in base.__mro__[1:-1] if one.__module__.startswith("uvicorn")
    )
    known = {part for part in used | methods if re.search(rf"\b(def {part}|self\.{part})\b", text)}
    return known - {"__init__"}


@pytest.mark.parametrize("base", PARTS)
def test_the_list_names_what_is_used_and_no_more(base: type) -> None:
    module, name, parts = PARTS[base]

    assert of_base(module, name, base) == parts


@pytest.mark.parametrize("part", CYCLE)
def test_a_cycle_has_what_is_used_of_it(part: str) -> None:
    assert re.search(rf"\bself\.{part} = ", inspect.getsource(RequestResponseCycle))
    assert re.search(rf"\bcycle\.{part}\b", inspect.getsource(http))


def test_uvicorn_is_of_the_version_in_which_these_parts_were_read() -> None:
    assert tuple(map(int, uvicorn.__version__.split(".")[:2])) == READ_IN


@pytest.mark.parametrize("parser", PARSERS)
def test_a_parser_is_of_the_version_that_was_read(parser: ModuleType) -> None:
    assert tuple(map(int, parser.__version__.split(".")[:2])) == PARSERS[parser]


def test_no_later_version_can_be_locked_unread() -> None:
    text = Path("requirements.in").read_text()
    major, minor = READ_IN

    assert re.search(rf"^uvicorn<{major}\.{minor + 1}\s", text, re.MULTILINE)
