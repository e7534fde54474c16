"""The catalogue of problems: each type that a response may have, what it means, what to do.

A problem's `type` is the path at which the service explains it (RFC 9457 section 3.1.1). Each room
lists its own types; a service's catalogue is their sum.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

PREFIX = "/problems/"


@dataclass(frozen=True, kw_only=True)
class ProblemType:
    """One type of problem.

    Attributes:
        slug: ends its path; no other type has it.
        status: of the responses (RFC 9110 section 15).
        meaning: what has happened, in a sentence.
        remedy: what the client can do, in a sentence or two.
    """

    slug: str
    status: int
    meaning: str
    remedy: str

    @property
    def path(self) -> str:
        """What the member `type` of a problem document says."""
        return PREFIX + self.slug

    @property
    def title(self) -> str:
        """What the member `title` says: the status in words."""
        return HTTPStatus(self.status).phrase


BAD_REQUEST = ProblemType(
    slug="bad-request",
    status=400,
    meaning="The request is not HTTP as RFC 9112 has it, or its body is not UTF-8.",
    remedy="Mend the client: `detail` says what was expected. The connection is closed.",
)
CHUNKS_TOO_ORNATE = ProblemType(
    slug="chunks-too-ornate",
    status=400,
    meaning="A chunked body has too many bytes of extensions and padding.",
    remedy="Send fewer, larger chunks, without extensions.",
)
UNAUTHORIZED = ProblemType(
    slug="unauthorized",
    status=401,
    meaning="An API key is missing or not valid.",
    remedy="Send a valid one: `Authorization: Bearer KEY`.",
)
NOT_FOUND = ProblemType(
    slug="not-found",
    status=404,
    meaning="There is nothing at this path.",
    remedy="Look at the path, and at the identifier in it.",
)
METHOD_NOT_ALLOWED = ProblemType(
    slug="method-not-allowed",
    status=405,
    meaning="The path does not have this method.",
    remedy="Use one that the header `Allow` names.",
)
HEADER_TOO_SLOW = ProblemType(
    slug="header-too-slow",
    status=408,
    meaning="The header did not arrive within HEADER_TIMEOUT.",
    remedy="Send it again, without pauses.",
)
BODY_TOO_SLOW = ProblemType(
    slug="body-too-slow",
    status=408,
    meaning="The body did not arrive within BODY_TIMEOUT.",
    remedy="Send it again, without pauses.",
)
BODY_TOO_LARGE = ProblemType(
    slug="body-too-large",
    status=413,
    meaning="The body has more than REQUEST_MAX_BYTES.",
    remedy="Send less in one request.",
)
URL_TOO_LONG = ProblemType(
    slug="url-too-long",
    status=414,
    meaning="Path and query have more than URL_MAX_BYTES.",
    remedy="Send fewer or shorter parameters.",
)
UNSUPPORTED_MEDIA_TYPE = ProblemType(
    slug="unsupported-media-type",
    status=415,
    meaning="The body's Content-Type is missing, or none that the operation takes.",
    remedy="Send one that the header `Accept` of the response names, and a body to match.",
)
EXPECTATION_FAILED = ProblemType(
    slug="expectation-failed",
    status=417,
    meaning="The header `Expect` asks for something else than `100-continue`.",
    remedy="Leave it out.",
)
INVALID_REQUEST = ProblemType(
    slug="invalid-request",
    status=422,
    meaning="The request does not fit its schema.",
    remedy="Mend what `errors` names: each has a place and a reason.",
)
UPGRADE_REQUIRED = ProblemType(
    slug="upgrade-required",
    status=426,
    meaning="The handshake is for another version of the WebSocket protocol.",
    remedy="Use version 13 (RFC 6455).",
)
HEADER_TOO_LARGE = ProblemType(
    slug="header-too-large",
    status=431,
    meaning="Request line and header have more than HEADER_MAX_BYTES.",
    remedy="Send fewer or shorter fields, cookies above all.",
)
TOO_MANY_FIELDS = ProblemType(
    slug="too-many-fields",
    status=431,
    meaning="The header has more than HEADER_MAX_FIELDS fields.",
    remedy="Send fewer.",
)
TRAILERS_TOO_LARGE = ProblemType(
    slug="trailers-too-large",
    status=431,
    meaning="The trailers of a chunked body have more than HEADER_MAX_BYTES.",
    remedy="Send none: they are not read.",
)
INTERNAL = ProblemType(
    slug="internal",
    status=500,
    meaning="An unexpected error.",
    remedy="Tell the operator the response's `X-Request-ID`: the log has the error under it.",
)
METHOD_NOT_IMPLEMENTED = ProblemType(
    slug="method-not-implemented",
    status=501,
    meaning="The method is not known here, or one for proxies.",
    remedy="Use a method of RFC 9110 or RFC 5789, other than CONNECT.",
)
CODING_NOT_IMPLEMENTED = ProblemType(
    slug="coding-not-implemented",
    status=501,
    meaning="The transfer coding is another than `chunked`.",
    remedy="Send the body as it is.",
)
ANSWER_TOO_SLOW = ProblemType(
    slug="answer-too-slow",
    status=503,
    meaning="The service did not answer within RESPONSE_TIMEOUT.",
    remedy="Try again later; it may have done what was asked.",
)
TOO_MANY_CONNECTIONS = ProblemType(
    slug="too-many-connections",
    status=503,
    meaning="The replica holds MAX_CONNECTIONS already.",
    remedy="Try again after `Retry-After`, and keep fewer connections open.",
)
VERSION_NOT_SUPPORTED = ProblemType(
    slug="version-not-supported",
    status=505,
    meaning="The request is neither HTTP/1.1 nor HTTP/1.0.",
    remedy="Use HTTP/1.1.",
)

# What any operation may answer.
OF_ALL = (
    BAD_REQUEST,
    METHOD_NOT_ALLOWED,
    HEADER_TOO_SLOW,
    URL_TOO_LONG,
    HEADER_TOO_LARGE,
    TOO_MANY_FIELDS,
    INTERNAL,
    ANSWER_TOO_SLOW,
    TOO_MANY_CONNECTIONS,
)
# What any operation with a body may answer.
OF_BODIES = (
    CHUNKS_TOO_ORNATE,
    BODY_TOO_SLOW,
    BODY_TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    INVALID_REQUEST,
    TRAILERS_TOO_LARGE,
)
# What every service may answer, whatever is asked.
TYPES = (
    *OF_ALL,
    *OF_BODIES,
    UNAUTHORIZED,
    NOT_FOUND,
    EXPECTATION_FAILED,
    UPGRADE_REQUIRED,
    METHOD_NOT_IMPLEMENTED,
    CODING_NOT_IMPLEMENTED,
    VERSION_NOT_SUPPORTED,
)

_PAGE = """\
# Problems

Each error is a problem document (RFC 9457), `application/problem+json`. Its `type` is the path at
which the service explains it, such as `GET {prefix}not-found`; `GET {all}` lists all of them, with
an API key where one is demanded.
`title` is the status in words, `detail` says what was expected and what came. `errors`, where there
are several faults, has `location` and `message` of each. The header `X-Request-ID` is in the log as
well.

This page is made from the types that stand beside the code that answers with them, by
`tools/bazel run //{module} -- problems`; a test fails when they differ.

| Type | Status | Meaning | What to do |
| --- | --- | --- | --- |
"""


def catalogue(*rooms: Iterable[ProblemType]) -> Sequence[ProblemType]:
    """The types of all rooms and `TYPES`, in order of status and slug.

    Raises:
        ValueError: two types have one slug.
    """
    types = sorted(
        (one for room in (TYPES, *rooms) for one in room), key=lambda one: (one.status, one.slug)
    )
    seen: set[str] = set()
    for one in types:
        if one.slug in seen:
            raise ValueError(f"{one.slug}: expected one type of problem of this name, got two")
        seen.add(one.slug)
    return types


def page(types: Sequence[ProblemType], module: str) -> str:
    """The page about the types, in Markdown."""
    text = _PAGE.format(prefix=PREFIX, all=PREFIX.rstrip("/"), module=module)
    rows = [
        f"| `{one.slug}` | {one.status} | {one.meaning} | {one.remedy} |".replace("`|`", "`\\|`")
        for one in types
    ]
    return text + "\n".join(rows) + "\n"
