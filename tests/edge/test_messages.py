"""What one request may look like: RFC 9112 and RFC 9110, section by section.

Each case has the section that says what is right. Where a section leaves a choice, the case holds
the stricter one, because a lenient server behind a strict proxy is how requests are smuggled.
"""

from dataclasses import dataclass

import pytest

from backend.tests.process import Running
from tests.edge.server import TODOS
from tests.edge.wire import converse

LIVE = b"/health/live"
BODY = b'{"title":"edge"}'
POST = f"POST {TODOS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()


@dataclass(frozen=True)
class Case:
    """A request, the statuses that are right, and the section that says so."""

    name: str
    section: str
    sent: bytes
    right: tuple[int, ...]

    def __str__(self) -> str:
        return self.name


def line(text: bytes) -> bytes:
    """A request with this request line and what else is needed."""
    return text + b"\r\nHost: x\r\n\r\n"


def get(*fields: bytes, version: bytes = b"1.1", host: bool = True) -> bytes:
    """A GET with these field lines."""
    lines = [b"GET " + LIVE + b" HTTP/" + version, *([b"Host: x"] if host else []), *fields]
    return b"\r\n".join([*lines, b"", b""])


def post(*fields: bytes, body: bytes = BODY) -> bytes:
    """A POST with these field lines about its body."""
    return POST + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body


def chunked(body: bytes, *fields: bytes) -> bytes:
    """A POST with a chunked body, as it is on the wire."""
    return post(b"Transfer-Encoding: chunked", *fields, body=body)


CHUNK = b"%x\r\n%b\r\n" % (len(BODY), BODY)

REQUEST_LINES = [
    Case("plain", "9112 3", line(b"GET /health/live HTTP/1.1"), (200,)),
    Case(
        "an empty line before it", "9112 2.2", b"\r\n" + line(b"GET /health/live HTTP/1.1"), (200,)
    ),
    Case("bare LF for CRLF", "9112 2.2", b"GET /health/live HTTP/1.1\nHost: x\n\n", (400,)),
    Case("bare CR for CRLF", "9112 2.2", b"GET /health/live HTTP/1.1\rHost: x\r\r", (400,)),
    Case("a blank before it", "9112 3", line(b" GET /health/live HTTP/1.1"), (400,)),
    Case("two blanks in it", "9112 3", line(b"GET  /health/live HTTP/1.1"), (400,)),
    Case("two blanks before the version", "9112 3", line(b"GET /health/live  HTTP/1.1"), (400,)),
    Case("a tab in it", "9112 3", line(b"GET\t/health/live HTTP/1.1"), (400,)),
    Case("a blank after it", "9112 3", line(b"GET /health/live HTTP/1.1 "), (400,)),
    Case("a word after it", "9112 3", line(b"GET /health/live HTTP/1.1 x"), (400,)),
    Case("no target", "9112 3.2", line(b"GET HTTP/1.1"), (400,)),
    Case("a blank in the target", "9112 3.2", line(b"GET /health/live x HTTP/1.1"), (400,)),
    Case("a NUL in the target", "9112 3.2", line(b"GET /health/live\0 HTTP/1.1"), (400,)),
    Case(
        "a byte over 127 in the target", "9112 3.2", line(b"GET /health/liv\xe9 HTTP/1.1"), (400,)
    ),
    Case("a fragment in the target", "9112 3.2", line(b"GET /health/live#x HTTP/1.1"), (400,)),
    Case("a target without a slash", "9112 3.2", line(b"GET health/live HTTP/1.1"), (400,)),
    Case("authority form for GET", "9112 3.2.3", line(b"GET example.org:80 HTTP/1.1"), (400,)),
    Case("absolute form", "9112 3.2.2", line(b"GET http://x/health/live HTTP/1.1"), (200,)),
    Case(
        "absolute form of another host",
        "9112 3.2.2",
        line(b"GET http://other.example/health/live HTTP/1.1"),
        (200,),
    ),
    Case("absolute form without a path", "9112 3.2.2", line(b"GET http://x HTTP/1.1"), (404,)),
    Case("absolute form of a broken URL", "9112 3.2.2", line(b"GET http://[ HTTP/1.1"), (400,)),
    Case("asterisk form", "9112 3.2.4", line(b"OPTIONS * HTTP/1.1"), (404,)),
    Case("asterisk form for GET", "9112 3.2.4", line(b"GET * HTTP/1.1"), (400,)),
    Case("CONNECT", "9110 9.3.6", line(b"CONNECT example.org:443 HTTP/1.1"), (501,)),
    Case("an unknown method", "9110 9.1", line(b"BREW /health/live HTTP/1.1"), (501,)),
    Case("a method in small letters", "9110 9.1", line(b"get /health/live HTTP/1.1"), (501,)),
    Case("a method that is no token", "9110 9.1", line(b"G@T /health/live HTTP/1.1"), (400,)),
    Case("an endless method", "9112 3", line(b"A" * 600 + b" / HTTP/1.1"), (501,)),
    Case(
        "a method that the path has not",
        "9110 15.5.6",
        line(b"DELETE /health/live HTTP/1.1"),
        (405,),
    ),
    Case("a version in small letters", "9112 2.3", line(b"GET /health/live http/1.1"), (400,)),
    Case("no version", "9112 2.3", line(b"GET /health/live"), (400,)),
    Case("version 0.9", "9110 15.6.6", line(b"GET /health/live HTTP/0.9"), (505,)),
    Case("version 2.0", "9110 15.6.6", line(b"GET /health/live HTTP/2.0"), (505,)),
    Case("version 3.0", "9110 15.6.6", line(b"GET /health/live HTTP/3.0"), (505,)),
    Case("version 1.2", "9110 15.6.6", line(b"GET /health/live HTTP/1.2"), (505,)),
    Case("version 1", "9112 2.3", line(b"GET /health/live HTTP/1"), (400,)),
    Case("version 1.10", "9112 2.3", line(b"GET /health/live HTTP/1.10"), (400,)),
    Case("version 01.1", "9112 2.3", line(b"GET /health/live HTTP/01.1"), (400, 505)),
    Case("version 1.1 of RTSP", "9112 2.3", line(b"GET /health/live RTSP/1.1"), (400,)),
    Case("RTSP", "9112 2.3", line(b"OPTIONS /health/live RTSP/1.0"), (400,)),
    Case("RTSP's own method", "9112 2.3", line(b"SETUP /health/live RTSP/1.0"), (400,)),
    Case("ICE", "9112 2.3", line(b"SOURCE /health/live ICE/1.0"), (400,)),
    Case("HTTPS/1.1", "9112 2.3", line(b"GET /health/live HTTPS/1.1"), (400,)),
    Case("the preface of HTTP/2", "9113 3.4", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505)),
    Case("TLS", "9112 2.2", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", (400,)),
    Case(
        "a target over the limit",
        "9110 15.5.15",
        line(b"GET /" + b"a" * 2000 + b" HTTP/1.1"),
        (414,),
    ),
    Case(
        "a query over the limit",
        "9110 15.5.15",
        line(b"GET /?" + b"a" * 2000 + b" HTTP/1.1"),
        (414,),
    ),
]

HOSTS = [
    Case("none in 1.1", "9112 3.2", get(host=False), (400,)),
    Case("none in 1.0", "9112 3.2", get(host=False, version=b"1.0"), (200,)),
    Case("two", "9112 3.2", get(b"Host: y"), (400,)),
    Case("the same twice", "9112 3.2", get(b"Host: x"), (400,)),
    Case("two in 1.0", "9112 3.2", get(b"Host: y", version=b"1.0"), (400,)),
    Case("empty", "9112 3.2", get(b"Host:", host=False), (200,)),
    Case("with a port", "9110 7.2", get(b"Host: x:8000", host=False), (200,)),
    Case("an IPv6 address", "9110 7.2", get(b"Host: [::1]:8000", host=False), (200,)),
    Case(
        "an international name", "9110 7.2", get(b"Host: xn--bcher-kva.example", host=False), (200,)
    ),
    Case("in capitals", "9110 5.1", get(b"HOST: x", host=False), (200,)),
    Case("two with a comma", "9112 3.2", get(b"Host: x, y", host=False), (400,)),
    Case("with a path", "9112 3.2", get(b"Host: x/y", host=False), (400,)),
    Case("with a user", "9112 3.2", get(b"Host: me@x", host=False), (400,)),
    Case("with a blank", "9112 3.2", get(b"Host: x y", host=False), (400,)),
    Case("with a port that is no number", "9112 3.2", get(b"Host: x:y", host=False), (400,)),
    Case("with an open bracket", "9112 3.2", get(b"Host: [::1", host=False), (400,)),
    Case("with a byte over 127", "9112 3.2", get(b"Host: b\xfccher", host=False), (400,)),
    Case(
        "none, but an absolute target",
        "9112 3.2",
        b"GET http://x/health/live HTTP/1.1\r\n\r\n",
        (400,),
    ),
]

FIELDS = [
    Case("without a value", "9110 5.5", get(b"X-A:"), (200,)),
    Case("without blanks", "9112 5", get(b"X-A:b"), (200,)),
    Case("with tabs about it", "9112 5", get(b"X-A:\tb\t"), (200,)),
    Case("with a byte over 127", "9110 5.5", get(b"X-A: \xe9"), (200,)),
    Case("a blank before the colon", "9112 5.1", get(b"X-A : b"), (400,)),
    Case("a tab before the colon", "9112 5.1", get(b"X-A\t: b"), (400,)),
    Case("no colon", "9112 5", get(b"X-A"), (400,)),
    Case("no name", "9112 5", get(b": b"), (400,)),
    Case("a name with a bracket", "9110 5.1", get(b"X[A]: b"), (400,)),
    Case("a name with a NUL", "9110 5.1", get(b"X\0A: b"), (400,)),
    Case("a name with a byte over 127", "9110 5.1", get(b"X\xe9: b"), (400,)),
    Case("a NUL in the value", "9110 5.5", get(b"X-A: b\0c"), (400,)),
    Case("a bare CR in the value", "9112 2.2", get(b"X-A: b\rc"), (400,)),
    Case("a bare LF in the value", "9112 2.2", get(b"X-A: b\nX-B: c"), (400,)),
    Case("another control character", "9110 5.5", get(b"X-A: b\x01c"), (400,)),
    Case("DEL", "9110 5.5", get(b"X-A: b\x7fc"), (400,)),
    Case("folded with a blank", "9112 5.2", get(b"X-A: b\r\n c"), (400,)),
    Case("folded with a tab", "9112 5.2", get(b"X-A: b\r\n\tc"), (400,)),
    Case(
        "folded before the first",
        "9112 2.2",
        b"GET /health/live HTTP/1.1\r\n Host: x\r\n\r\n",
        (400,),
    ),
    Case("a folded Host", "9112 5.2", get(b"Host:\r\n x", host=False), (400,)),
    Case(
        "a folded coding",
        "9112 5.2",
        chunked(CHUNK + b"0\r\n\r\n").replace(b" chunked", b"\r\n chunked"),
        (400,),
    ),
    Case("as many as allowed", "6585 5", get(*[b"X-A: b"] * 90), (200,)),
    Case("too many", "6585 5", get(*[b"X:"] * 200), (431,)),
    Case("far too many, in one segment", "6585 5", get(*[b"X:"] * 20_000), (431,)),
    Case("one that is too large", "6585 5", get(b"X-A: " + b"b" * 5000), (431,)),
    Case("one far too large, in one segment", "6585 5", get(b"X-A: " + b"b" * 60_000), (431,)),
    Case("too large together", "6585 5", get(*[b"X-A: " + b"b" * 500] * 10), (431,)),
    Case("an endless name", "6585 5", get(b"X" * 5000 + b": b"), (431,)),
    Case("an expectation nobody knows", "9110 10.1.1", get(b"Expect: miracles"), (417,)),
    Case(
        "Upgrade to something else",
        "9110 7.8",
        get(b"Connection: upgrade", b"Upgrade: h2c"),
        (200,),
    ),
    Case("Connection: close", "9112 9.6", get(b"Connection: close"), (200,)),
]

N = b"%d" % len(BODY)

LENGTHS = [
    Case("right", "9112 6.2", post(b"Content-Length: " + N), (201,)),
    Case("with zeros before it", "9110 8.6", post(b"Content-Length: 000" + N), (201,)),
    Case("with blanks about it", "9112 5", post(b"Content-Length:  " + N + b" "), (201,)),
    Case("none: an empty body", "9112 6.3", post(body=b""), (422,)),
    Case("zero", "9112 6.3", post(b"Content-Length: 0", body=b""), (422,)),
    Case("negative", "9112 6.3", post(b"Content-Length: -1"), (400,)),
    Case("with a plus", "9112 6.3", post(b"Content-Length: +" + N), (400,)),
    Case("in hexadecimal", "9112 6.3", post(b"Content-Length: 0x10"), (400,)),
    Case("with an underscore", "9112 6.3", post(b"Content-Length: 1_6"), (400,)),
    Case("a fraction", "9112 6.3", post(b"Content-Length: 16.0"), (400,)),
    Case("a word", "9112 6.3", post(b"Content-Length: many"), (400,)),
    Case("empty", "9112 6.3", post(b"Content-Length:"), (400,)),
    Case("other digits", "9112 6.3", post(b"Content-Length: \xef\xbc\x91\xef\xbc\x96"), (400,)),
    Case("two numbers", "9112 6.3", post(b"Content-Length: 16 16"), (400,)),
    Case("a list of the same", "9112 6.3", post(b"Content-Length: " + N + b", " + N), (400,)),
    Case(
        "twice the same", "9112 6.3", post(b"Content-Length: " + N, b"Content-Length: " + N), (400,)
    ),
    Case("two different", "9112 6.3", post(b"Content-Length: " + N, b"Content-Length: 5"), (400,)),
    Case("over 64 bits", "9112 6.3", post(b"Content-Length: " + b"9" * 30), (400,)),
    Case("2^64", "9112 6.3", post(b"Content-Length: 18446744073709551616"), (400,)),
    Case("2^64 - 1", "9110 15.5.14", post(b"Content-Length: 18446744073709551615"), (413,)),
    Case("over the limit", "9110 15.5.14", post(b"Content-Length: 4097", body=b""), (413,)),
    Case(
        "with a coding", "9112 6.1", chunked(CHUNK + b"0\r\n\r\n", b"Content-Length: " + N), (400,)
    ),
    Case("a body with GET", "9110 9.3.1", get(b"Content-Length: 5") + b"12345", (200,)),
]

CODINGS = [
    Case(
        "chunked",
        "9112 7.1",
        post(b"Transfer-Encoding: chunked", body=CHUNK + b"0\r\n\r\n"),
        (201,),
    ),
    Case(
        "in capitals",
        "9112 7",
        post(b"Transfer-Encoding: CHUNKED", body=CHUNK + b"0\r\n\r\n"),
        (201,),
    ),
    Case(
        "gzip, chunked",
        "9112 6.1",
        post(b"Transfer-Encoding: gzip, chunked", body=CHUNK + b"0\r\n\r\n"),
        (501,),
    ),
    Case(
        "gzip, chunked in two lines",
        "9112 6.1",
        post(b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked", body=CHUNK + b"0\r\n\r\n"),
        (501,),
    ),
    Case(
        "identity, chunked",
        "9112 6.1",
        post(b"Transfer-Encoding: identity, chunked", body=CHUNK + b"0\r\n\r\n"),
        (501,),
    ),
    Case(
        "unknown, chunked",
        "9112 6.1",
        post(b"Transfer-Encoding: x, chunked", body=CHUNK + b"0\r\n\r\n"),
        (501,),
    ),
    Case(
        "chunked, gzip",
        "9112 6.3",
        post(b"Transfer-Encoding: chunked, gzip", body=CHUNK + b"0\r\n\r\n"),
        (400,),
    ),
    Case("gzip", "9112 6.3", post(b"Transfer-Encoding: gzip", body=CHUNK), (400,)),
    Case("identity", "9112 6.3", post(b"Transfer-Encoding: identity", body=BODY), (400,)),
    Case(
        "identity with a length",
        "9112 6.3",
        post(b"Transfer-Encoding: identity", b"Content-Length: " + N),
        (400,),
    ),
    Case("empty", "9112 6.3", post(b"Transfer-Encoding:", body=BODY), (400,)),
    Case(
        "chunked twice",
        "9112 6.1",
        post(b"Transfer-Encoding: chunked, chunked", body=CHUNK + b"0\r\n\r\n"),
        (400,),
    ),
    Case(
        "chunked in two lines",
        "9112 6.1",
        post(
            b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=CHUNK + b"0\r\n\r\n"
        ),
        (400,),
    ),
    Case(
        "chunked with a parameter",
        "9112 7.1",
        post(b"Transfer-Encoding: chunked;q=1", body=CHUNK + b"0\r\n\r\n"),
        (400,),
    ),
    Case(
        "xchunked",
        "9112 6.3",
        post(b"Transfer-Encoding: xchunked", body=CHUNK + b"0\r\n\r\n"),
        (400,),
    ),
    Case(
        "a vertical tab before it",
        "9112 6.3",
        post(b"Transfer-Encoding: \x0bchunked", body=CHUNK + b"0\r\n\r\n"),
        (400,),
    ),
    Case(
        "a NUL after it",
        "9112 6.3",
        post(b"Transfer-Encoding: chunked\0", body=CHUNK + b"0\r\n\r\n"),
        (400,),
    ),
    Case(
        "a comma after it",
        "9110 5.6.1",
        post(b"Transfer-Encoding: chunked,", body=CHUNK + b"0\r\n\r\n"),
        (400,),
    ),
    Case(
        "in HTTP/1.0",
        "9112 6.1",
        post(b"Transfer-Encoding: chunked", body=CHUNK + b"0\r\n\r\n").replace(
            b"HTTP/1.1", b"HTTP/1.0"
        ),
        (400,),
    ),
    Case("with GET", "9112 6.3", get(b"Transfer-Encoding: chunked") + b"0\r\n\r\n", (200,)),
]

CHUNKS = [
    Case("one", "9112 7.1", chunked(CHUNK + b"0\r\n\r\n"), (201,)),
    Case(
        "of one byte",
        "9112 7.1",
        chunked(b"".join(b"1\r\n%c\r\n" % one for one in BODY) + b"0\r\n\r\n"),
        (201,),
    ),
    Case(
        "a size in capitals",
        "9112 7.1",
        chunked(b'A\r\n{"title":"\r\n2\r\nx"\r\n1\r\n}\r\n0\r\n\r\n'),
        (201,),
    ),
    Case("zeros before the size", "9112 7.1", chunked(b"0000" + CHUNK + b"000\r\n\r\n"), (201,)),
    Case(
        "an extension",
        "9112 7.1.1",
        chunked(CHUNK.replace(b"\r\n", b";a=b\r\n", 1) + b"0;c\r\n\r\n"),
        (201,),
    ),
    Case(
        "a quoted extension",
        "9112 7.1.1",
        chunked(CHUNK.replace(b"\r\n", b';a="b;c"\r\n', 1) + b"0\r\n\r\n"),
        (201,),
    ),
    Case(
        "a large extension",
        "9112 7.1.1",
        chunked(CHUNK.replace(b"\r\n", b";a=" + b"b" * 5000 + b"\r\n", 1) + b"0\r\n\r\n"),
        (400,),
    ),
    Case(
        "many extensions",
        "9112 7.1.1",
        chunked(b"".join(b"1;%b\r\n%c\r\n" % (b"a" * 500, one) for one in BODY) + b"0\r\n\r\n"),
        (400,),
    ),
    Case(
        "a bare LF in the extension",
        "9112 7.1.1",
        chunked(CHUNK.replace(b"\r\n", b";a\nb\r\n", 1) + b"0\r\n\r\n"),
        (400,),
    ),
    Case(
        "a NUL in the extension",
        "9112 7.1.1",
        chunked(CHUNK.replace(b"\r\n", b";a\0\r\n", 1) + b"0\r\n\r\n"),
        (400,),
    ),
    Case(
        "a size that is no number", "9112 7.1", chunked(b"g\r\n" + BODY + b"\r\n0\r\n\r\n"), (400,)
    ),
    Case("a negative size", "9112 7.1", chunked(b"-1\r\n" + BODY + b"\r\n0\r\n\r\n"), (400,)),
    Case("a size with 0x", "9112 7.1", chunked(b"0x" + CHUNK + b"0\r\n\r\n"), (400,)),
    Case("no size", "9112 7.1", chunked(b"\r\n" + BODY + b"\r\n0\r\n\r\n"), (400,)),
    Case("a blank before the size", "9112 7.1", chunked(b" " + CHUNK + b"0\r\n\r\n"), (400,)),
    Case("a size over 64 bits", "9112 7.1", chunked(b"F" * 17 + b"\r\n" + BODY), (400,)),
    Case("a size over the limit", "9110 15.5.14", chunked(b"FFFFFF\r\n" + b" " * 5000), (413,)),
    Case(
        "together over the limit",
        "9110 15.5.14",
        chunked((b"400\r\n" + b" " * 0x400 + b"\r\n") * 5 + b"0\r\n\r\n"),
        (413,),
    ),
    Case(
        "a size that ends in LF",
        "9112 7.1",
        chunked(CHUNK.replace(b"\r\n", b"\n", 1) + b"0\r\n\r\n"),
        (400,),
    ),
    Case(
        "a size that ends in CR",
        "9112 7.1",
        chunked(CHUNK.replace(b"\r\n", b"\r", 1) + b"0\r\n\r\n"),
        (400,),
    ),
    Case("more than the size", "9112 7.1", chunked(b"2\r\n" + BODY + b"\r\n0\r\n\r\n"), (400,)),
    Case("data that ends in LF", "9112 7.1", chunked(CHUNK[:-2] + b"\n0\r\n\r\n"), (400,)),
    Case("no end of the data", "9112 7.1", chunked(CHUNK[:-2] + b"0\r\n\r\n"), (400,)),
    Case("the last ends in LF", "9112 7.1", chunked(CHUNK + b"0\n\n"), (400,)),
]

TRAILERS = [
    Case("one", "9112 7.1.2", chunked(CHUNK + b"0\r\nX-A: b\r\n\r\n"), (201,)),
    Case(
        "that was announced",
        "9110 6.6.2",
        chunked(CHUNK + b"0\r\nX-A: b\r\n\r\n", b"Trailer: X-A"),
        (201,),
    ),
    Case("a length", "9110 6.5.1", chunked(CHUNK + b"0\r\nContent-Length: 5\r\n\r\n"), (201, 400)),
    Case(
        "a coding",
        "9110 6.5.1",
        chunked(CHUNK + b"0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (201, 400),
    ),
    Case("a host", "9110 6.5.1", chunked(CHUNK + b"0\r\nHost: evil\r\n\r\n"), (201,)),
    Case("without a colon", "9112 5", chunked(CHUNK + b"0\r\nX-A\r\n\r\n"), (400,)),
    Case("folded", "9112 5.2", chunked(CHUNK + b"0\r\nX-A: b\r\n c\r\n\r\n"), (400,)),
    Case("with a NUL", "9110 5.5", chunked(CHUNK + b"0\r\nX-A: \0\r\n\r\n"), (400,)),
    Case("that ends in LF", "9112 2.2", chunked(CHUNK + b"0\r\nX-A: b\n\r\n"), (400,)),
    Case("too large", "6585 5", chunked(CHUNK + b"0\r\nX-A: " + b"b" * 5000 + b"\r\n\r\n"), (431,)),
    Case("too many", "6585 5", chunked(CHUNK + b"0\r\n" + b"X-A: b\r\n" * 1000 + b"\r\n"), (431,)),
    Case("far too large", "6585 5", chunked(CHUNK + b"0\r\nX-A: " + b"b" * 200_000), (431,)),
]


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=f"{about}-{case.name}")
        for about, cases in {
            "request line": REQUEST_LINES,
            "Host": HOSTS,
            "field": FIELDS,
            "length": LENGTHS,
            "coding": CODINGS,
            "chunk": CHUNKS,
            "trailer": TRAILERS,
        }.items()
        for case in cases
    ],
)
@pytest.mark.parametrize("segments", ["whole", "in pieces"])
def test_a_request_gets_the_answer_that_its_rfc_wants(
    server: Running, case: Case, segments: str
) -> None:
    method = case.sent.lstrip().partition(b" ")[0].decode("latin-1")
    parts = [case.sent]
    if segments == "in pieces":
        # Not byte by byte, which would take as long for the large ones as the server waits.
        step = max(1, len(case.sent) // 40)
        parts = [case.sent[at : at + step] for at in range(0, len(case.sent), step)]
    said = converse(
        server.port, *parts, methods=(method if method in {"HEAD", "CONNECT"} else "GET",)
    )
    assert len(said.answers) == 1, case
    answer = said.answers[0]
    assert answer.status in case.right, (case.section, answer)
    if answer.status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json["status"] == answer.status
    if answer.status in {400, 408, 413, 417, 431, 501, 505}:
        assert said.closed, "what follows cannot be told from the body: RFC 9112 section 9.6"
        assert answer.headers["connection"] == "close"


def test_an_answer_to_continue_comes_before_the_body(server: Running) -> None:
    said = converse(
        server.port,
        POST + b"Expect: 100-continue\r\nContent-Length: " + N + b"\r\n\r\n",
        BODY,
        methods=("POST",),
        pause=0.1,
    )
    assert (said.interim, said.statuses) == ((100,), (201,))


@pytest.mark.parametrize("header", [b"Content-Length: 5000", b"Content-Length: many"])
def test_a_body_that_will_be_refused_is_not_asked_for(server: Running, header: bytes) -> None:
    """RFC 9110 section 10.1.1: a final status in place of 100 saves the client its body."""
    said = converse(server.port, POST + b"Expect: 100-continue\r\n" + header + b"\r\n\r\n")
    assert said.interim == ()
    assert said.statuses[0] in {400, 413}


def test_a_refusal_reaches_a_client_that_is_still_sending(server: Running) -> None:
    """RFC 9112 section 9.6: closing at once would reset the connection and lose the answer."""
    for _ in range(20):
        said = converse(
            server.port,
            POST + b"Content-Length: 100000\r\n\r\n",
            b" " * 50_000,
            b" " * 50_000,
            methods=("POST",),
        )
        assert said.statuses == (413,)


def test_trailers_are_no_headers(server: Running) -> None:
    """RFC 9110 section 6.5.1: nothing that routes or authenticates is taken from a trailer."""
    body = b"".join([CHUNK, b"0\r\nX-Request-ID: from-a-trailer\r\nAuthorization: x\r\n\r\n"])
    said = converse(server.port, chunked(body), methods=("POST",))
    assert said.statuses == (201,)
    assert said.answers[0].headers["x-request-id"] != "from-a-trailer"
