"""Where a request's parts end, found in raw bytes before a parser sees them.

Two parsers read every message: this one says where it ends, httptools what it says. When they do
not agree on the end, the message is refused; no request can hide in the difference.
"""

import re
from http import HTTPStatus

import httptools

from serving.process.connection import Refusal

END_OF_HEAD = b"\r\n\r\n"

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?\r\n")
_LINE = re.compile(rb"[!-~]+ [^\x00-\x20\x7f]+ HTTP/1\.[01]")
# A digit may be missing: the parser breaks off at the first that it does not know.
_OTHER_VERSION = re.compile(rb"[!-~]+ [^\x00-\x20\x7f]+ HTTP/(?:[02-9](?:\.[0-9]?)?|1\.[2-9])")
_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?: |$)")
# RFC 3986 section 3.2: a name, an IPv4 address or an IPv6 address in brackets, and a port.
# A comma is allowed there and in no name that is in use; two hosts joined by a proxy look like it.
HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")
ABSOLUTE = re.compile(rb"https?://([^/?#]+)([/?].*)?", re.IGNORECASE)


def fault_of_request_line(line: bytes) -> Refusal | None:
    """Why a request line cannot be taken, if it cannot."""
    if _LINE.fullmatch(line):
        return None
    if _OTHER_VERSION.fullmatch(line):
        return Refusal(505, "version-not-supported", "expected HTTP/1.1 or HTTP/1.0")
    return Refusal(400, "bad-request", "expected a request line: METHOD TARGET HTTP/1.1")


def fault_of_head(head: bytes, error: httptools.HttpParserError) -> Refusal:
    """Why the parser broke off, in words for the client."""
    if isinstance(error, httptools.HttpParserInvalidMethodError) and _METHOD.match(head):
        return Refusal(501, "method-not-implemented", "the method is not known here")
    line, end, _ = head.partition(b"\r\n")
    fault = fault_of_request_line(line)
    if fault is not None and (end or fault.status != HTTPStatus.BAD_REQUEST):
        return fault
    return Refusal(400, "bad-request", "expected a request as RFC 9112 has it")


class Chunks:
    """Finds the end of one chunked body and its trailers (RFC 9112 section 7.1).

    Args:
        limit: bytes of extensions and leading zeros, and again of trailers, that are taken.

    Attributes:
        arrived: bytes of the body itself, so far.
        done: whether the end has come.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._line = bytearray()
        # Of the current chunk, its final CRLF included.
        self._left = 0
        self._ornaments = 0
        self._trailers = 0
        self._in_trailers = False
        self.arrived = 0
        self.done = False

    def take(self, data: bytes) -> int:
        """Read on.

        Returns:
            How many bytes of `data` belong to this message.

        Raises:
            Refusal: 400, what came is no chunk, or too much beside the body; 431, trailers.
        """
        at, end = 0, len(data)
        while at < end and not self.done:
            if self._left:
                step = min(self._left, end - at)
                # The last two bytes are no body.
                self.arrived += max(0, min(self._left - 2, step))
                self._left -= step
                at += step
                continue
            stop = data.find(b"\n", at) + 1
            self._line += data[at : stop or end]
            self._check_line()
            if not stop:
                return end
            at = stop
            line = bytes(self._line)
            self._line.clear()
            self._take_line(line)
        return at

    def _take_line(self, line: bytes) -> None:
        if self._in_trailers:
            self._trailers += len(line)
            self.done = line == b"\r\n"
            return
        match = _SIZE.fullmatch(line)
        if match is None:
            raise Refusal(400, "bad-request", "expected the size of a chunk in hexadecimal")
        size = int(match[1], 16)
        self._ornaments += len(line) - len(f"{size:x}\r\n")
        if size:
            self._left = size + 2
        else:
            self._in_trailers = True

    def _check_line(self) -> None:
        if self._in_trailers:
            if self._trailers + len(self._line) > self._limit:
                raise Refusal(431, "trailers-too-large", "the trailers are too large")
        elif self._ornaments + len(self._line) > self._limit:
            raise Refusal(400, "chunks-too-ornate", "too much beside the body in its chunks")
