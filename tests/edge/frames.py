"""WebSocket frames, valid and not, written by hand (RFC 6455 section 5.2)."""

import os
import socket
import struct
import time
from dataclasses import dataclass
from typing import Self

HANDSHAKE = (
    b"GET /ws/todos HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
# RFC 6455 section 1.3: what the key above is answered with.
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
FIN = 0x80


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = True,
    length: int | None = None,
) -> bytes:
    """A frame as a client sends it; `length` is claimed in place of the payload's own."""
    size = len(payload) if length is None else length
    first = (FIN if fin else 0) | rsv << 4 | opcode
    mask_bit = 0x80 if masked else 0
    if size < 126:
        head = struct.pack("!BB", first, mask_bit | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", first, mask_bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, mask_bit | 127, size)
    if not masked:
        return head + payload
    key = os.urandom(4)
    return head + key + bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))


def close(code: int, reason: bytes = b"") -> bytes:
    """A close frame."""
    return frame(CLOSE, struct.pack("!H", code) + reason)


@dataclass(frozen=True)
class Frame:
    """One that the server sent."""

    opcode: int
    payload: bytes

    @property
    def code(self) -> int | None:
        """Of a close frame; `None` when it is empty."""
        return struct.unpack("!H", self.payload[:2])[0] if self.payload else None


class Socket:
    """A client's side of a WebSocket that knows what is on the wire and nothing else."""

    def __init__(self, port: int, handshake: bytes = HANDSHAKE) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""
        self._socket.sendall(handshake)
        while b"\r\n\r\n" not in self._rest:
            data = self._socket.recv(65536)
            assert data, self._rest
            self._rest += data
        self.head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        self.status = int(self.head.split()[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def next(self, patience: float = 10) -> Frame | None:
        """The next frame; `None` when the server has closed the connection."""
        while (found := self._take()) is None:
            self._socket.settimeout(patience)
            try:
                data = self._socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                assert not self._rest, self._rest
                return None
            self._rest += data
        return found

    def until_close(self, patience: float = 10) -> Frame | None:
        """The close frame, past whatever comes before it; `None` when there is none."""
        deadline = time.monotonic() + patience
        while (found := self.next(max(0.01, deadline - time.monotonic()))) is not None:
            if found.opcode == CLOSE:
                return found
        return None

    def _take(self) -> Frame | None:
        data = self._rest
        if len(data) < 2:
            return None
        assert data[0] & 0x70 == 0, "no extension was agreed on (section 5.2)"
        assert not data[1] & 0x80, "a server must not mask (section 5.1)"
        size, at = data[1] & 0x7F, 2
        if size == 126:
            size, at = struct.unpack_from("!H", data, 2)[0], 4
        elif size == 127:
            size, at = struct.unpack_from("!Q", data, 2)[0], 10
        if len(data) < at + size:
            return None
        self._rest = data[at + size :]
        return Frame(data[0] & 0x0F, data[at : at + size])
