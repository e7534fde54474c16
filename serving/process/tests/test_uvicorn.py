"""What is used of uvicorn beyond its documented interface, and in which version it was read.

uvicorn promises nothing of its protocols. requirements.in therefore caps it; whoever raises the cap
reads the parts below again, in the new version, and then changes `READ_IN`.
"""

import ast
import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest
import uvicorn
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from serving.process import http, server, websocket

READ_IN = (0, 54)

# Methods that are overridden or called, and attributes that are read or set.
PARTS: dict[type, tuple[ModuleType, str, set[str]]] = {
    HttpToolsProtocol: (
        http,
        "LimitedHttp",
        {
            *("connection_lost", "connection_made", "connections", "data_received", "loop"),
            *("on_headers_complete", "on_message_begin", "on_response_complete"),
            *("send_400_response", "timeout_keep_alive_handler", "transport"),
            "_unset_keepalive_if_required",
        },
    ),
    WebSocketsSansIOProtocol: (
        websocket,
        "ClosableWebSocket",
        {
            *("close_sent", "close_timer", "conn", "disconnected", "handle_connect"),
            *("keepalive_timeout", "loop", "queue", "read_paused", "scope", "stop_keepalive"),
            "transport",
        },
    ),
    uvicorn.Server: (
        server,
        "Server",
        {"_captured_signals", "capture_signals", "handle_exit", "on_tick", "should_exit"},
    ),
}


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


def test_the_status_lines_are_there() -> None:
    assert httptools_impl.STATUS_LINE[503] == b"HTTP/1.1 503 Service Unavailable\r\n"


def test_uvicorn_is_of_the_version_in_which_these_parts_were_read() -> None:
    assert tuple(map(int, uvicorn.__version__.split(".")[:2])) == READ_IN


def test_no_later_version_can_be_locked_unread() -> None:
    text = Path("requirements.in").read_text()
    major, minor = READ_IN

    assert re.search(rf"^uvicorn<{major}\.{minor + 1}\s", text, re.MULTILINE)
