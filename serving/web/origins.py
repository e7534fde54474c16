"""Origins that browsers may call from (RFC 6454), for CORS and for WebSockets."""

from collections.abc import Sequence

from fastapi import FastAPI

from serving.web.settings import WebSettings

# What a route may be asked with and may answer with, beyond what browsers allow by themselves.
REQUEST_HEADERS = [
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Traceparent",
    "X-Request-ID",
]
RESPONSE_HEADERS = ["ETag", "Location", "Retry-After", "X-Request-ID"]


class Origins:
    """Knows the origins that are named, and the service's own."""

    def __init__(self, settings: WebSettings) -> None:
        self._named: Sequence[str] = settings.cors_origins

    def welcomes(self, origin: str, host: str) -> bool:
        """Whether a page of an origin may open a WebSocket to a host."""
        # Compared as text: what a browser sends is SCHEME://HOST and nothing else.
        own = (f"http://{host}", f"https://{host}")
        return origin in self._named or (host != "" and origin in own)

    def allow(self, app: FastAPI) -> None:
        """Let pages of the named origins call an application's routes (Fetch standard, CORS)."""
        if not self._named:
            return
        from starlette.middleware.cors import CORSMiddleware  # noqa: PLC0415

        app.add_middleware(
            CORSMiddleware,
            allow_origins=self._named,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=REQUEST_HEADERS,
            expose_headers=RESPONSE_HEADERS,
            max_age=600,
        )
