"""API keys as bearer tokens (RFC 6750): who calls, and whether they may."""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from fastapi import Request
from fastapi.openapi.models import HTTPBearer
from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase
from starlette.responses import Response

from serving.settings.rotation import Rotating
from serving.web.direct import arguments_of
from serving.web.media import check_media_type, media_types
from serving.web.problems import Problem
from serving.web.settings import WebSettings

ANONYMOUS = "anonymous"
# Browsers cannot set headers on a WebSocket; the key travels as an offered subprotocol.
BEARER_SUBPROTOCOL = "bearer."


def new_key(name: str) -> tuple[str, str]:
    """A fresh API key and its entry for API_KEYS.

    The key has 256 random bits, so a plain SHA-256 protects it: there is no dictionary to try.
    """
    key = secrets.token_urlsafe(32)
    return key, f"{name}:sha256:{hashlib.sha256(key.encode()).hexdigest()}"


class Keys:
    """Knows the valid API keys by their digests; a changed API_KEYS_FILE changes them."""

    def __init__(self, settings: WebSettings) -> None:
        self.required = settings.auth_required
        self._settings = Rotating(settings, "api_keys")
        self._version = self._settings.version
        self._known = list(settings.key_digests().items())

    @property
    def _digests(self) -> list[tuple[str, bytes]]:
        settings = self._settings.current
        if self._settings.version != self._version:
            self._version = self._settings.version
            self._known = list(settings.key_digests().items())
        return self._known

    @property
    def rotate(self) -> bool:
        """Whether they can change while the service runs."""
        return self._settings.rotates

    async def revoked(self, principal: Callable[[], str]) -> None:
        """Return when a key that was valid is so no longer.

        Args:
            principal: asks for its owner once more, as when it was presented.
        """
        while True:
            version = self._settings.version
            try:
                principal()
            except Problem:
                return
            await self._settings.changed(version)

    def principal(self, key: bytes | None) -> str:
        """The name of the key's owner; `anonymous` without a key where none is required.

        Every digest is compared, in constant time, so timing tells nothing about any.

        Raises:
            Problem: 401, a key is required and missing, or wrong.
        """
        if key is None:
            if self.required:
                raise unauthorized("an API key is required: Authorization: Bearer KEY")
            return ANONYMOUS
        presented = hashlib.sha256(key).digest()
        owner = None
        digests = self._digests
        for name, digest in digests:
            if hmac.compare_digest(presented, digest):
                owner = name.partition("#")[0]
        if owner is None:
            if self.required or digests:
                raise unauthorized("the API key is not valid")
            return ANONYMOUS
        return owner

    def from_headers(self, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """The principal of a request (RFC 6750 section 2.1)."""
        for name, value in headers:
            if name == b"authorization":
                scheme, _, key = value.partition(b" ")
                if scheme.lower() != b"bearer" or not key:
                    raise unauthorized("expected Authorization: Bearer KEY")
                return self.principal(key.strip())
        return self.principal(None)


def unauthorized(detail: str) -> Problem:
    """401 with the challenge that RFC 9110 section 15.5.2 demands."""
    return Problem(401, "unauthorized", detail, headers={"WWW-Authenticate": "Bearer"})


class ApiKey(SecurityBase):
    """The dependency of protected routes; leaves the principal in the request's scope."""

    def __init__(self, keys: Keys, description: str) -> None:
        self._keys = keys
        self.model = HTTPBearer(description=description)
        self.scheme_name = "bearerKey"

    async def __call__(self, request: Request) -> None:
        """Let the request through or raise a 401 problem."""
        self.check(request)

    def check(self, request: Request) -> None:
        """The same, once a request."""
        if "principal" not in request.scope:
            request.scope["principal"] = self._keys.from_headers(request.scope["headers"])

    @property
    def route_class(self) -> type[APIRoute]:
        """Routes that check the key before anything else, then what kind of body there is.

        FastAPI reads and parses a body before it asks any dependency: strangers would be told what
        is wrong with it.
        """
        check = self.check

        class KeyedRoute(APIRoute):
            """A route for those who have a key."""

            def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
                """The key first, the media type, then FastAPI's own."""
                handle = super().get_route_handler()
                taken = media_types(self)
                endpoint = self.endpoint
                direct = arguments_of(endpoint)

                async def checked(request: Request) -> Response:
                    check(request)
                    if taken:
                        check_media_type(request, taken)
                    if direct is not None and (arguments := direct(request)) is not None:
                        response: Response = await endpoint(*arguments)
                        return response
                    return await handle(request)

                return checked

        return KeyedRoute
