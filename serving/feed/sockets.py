"""WebSockets that are sent the feed, within limits."""

import asyncio
from collections import Counter
from collections.abc import Callable

from starlette.websockets import WebSocket, WebSocketDisconnect

from serving.data.errors import DatabaseError
from serving.feed.follower import Feed, hello, reset
from serving.feed.metrics import FeedMetrics
from serving.feed.settings import FeedSettings
from serving.feed.subscription import Subscription
from serving.process.extension import CLOSE_NOW
from serving.watch.lifecycle import Lifecycle
from serving.web.origins import Origins
from serving.web.problems import Problem, Problems, unavailable
from serving.web.security import BEARER_SUBPROTOCOL, Keys

# RFC 6455 section 7.4.1, and 1013 from the IANA registry of close codes.
GOING_AWAY = 1001
UNSUPPORTED_DATA = 1003
POLICY_VIOLATION = 1008
TRY_AGAIN_LATER = 1013

# A client has nothing to say but may send keep-alives of its own: so many per minute.
MESSAGES_PER_MINUTE = 30
CLOSE_SECONDS = 2.0


class Sockets:
    """Serves a feed over WebSockets, within limits.

    Args:
        feed: what is served.
        subprotocol: what a client may offer, and gets if it does (RFC 6455 section 1.9).
        settings: how many sockets there may be.
        keys: who may connect.
        origins: from which pages.
        lifecycle: none is taken while the process drains.
        metrics: of the feed.
        problems: writes the answer to a refused handshake.
    """

    def __init__(
        self,
        feed: Feed,
        *,
        subprotocol: str,
        settings: FeedSettings,
        keys: Keys,
        origins: Origins,
        lifecycle: Lifecycle,
        metrics: FeedMetrics,
        problems: Problems,
    ) -> None:
        self._feed = feed
        self._subprotocol = subprotocol
        self._settings = settings
        self._keys = keys
        self._origins = origins
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._problems = problems
        self._by_client: Counter[str] = Counter()
        self._open = 0

    @property
    def open(self) -> int:
        """How many sockets there are."""
        return self._open

    def close(self) -> None:
        """Begin to close all of them, with 1001."""
        self._feed.close_subscriptions()

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one socket from its handshake to its end."""
        try:
            client, subprotocol = self._admit(websocket)
            after = _last_event_id(websocket)
        except Problem as problem:
            await websocket.send_denial_response(self._problems.respond(problem))
            return
        self._open += 1
        self._by_client[client] += 1
        self._metrics.sockets.inc()
        try:
            await self._serve_admitted(websocket, subprotocol, after)
        finally:
            self._open -= 1
            self._by_client[client] -= 1
            if not self._by_client[client]:
                del self._by_client[client]
            self._metrics.sockets.dec()

    def _admit(self, websocket: WebSocket) -> tuple[str, str | None]:
        """The client's name for counting, and the subprotocol to agree on.

        Raises:
            Problem: 401, 403 for a foreign origin, 503 for too many sockets or while draining.
        """
        settings = self._settings
        # A browser sends one. With two of them nobody knows which is meant.
        origins = websocket.headers.getlist("origin")
        host = websocket.headers.get("host", "")
        if len(origins) > 1 or (origins and not self._origins.welcomes(origins[0], host)):
            raise Problem(403, "foreign-origin", f"Origin: {', '.join(origins)} is not allowed")
        offered = websocket.scope["subprotocols"]
        principal = self._principal(websocket)
        websocket.scope["principal"] = principal
        if self._lifecycle.draining:
            raise unavailable("draining", "this replica is shutting down; connect again")
        if self._open >= settings.ws_max_connections:
            raise unavailable("too-many-sockets", "this replica holds all the sockets it may", 5)
        address = websocket.client.host if websocket.client else "unknown"
        client = f"address:{address}" if principal == "anonymous" else f"key:{principal}"
        if self._by_client[client] >= settings.ws_max_connections_per_client:
            raise Problem(
                429, "too-many-sockets-of-client", "this client holds all the sockets it may"
            )
        return client, self._subprotocol if self._subprotocol in offered else None

    def _principal(self, websocket: WebSocket) -> str:
        """Whose key the handshake has; raises a 401 problem."""
        offered = websocket.scope["subprotocols"]
        bearer = next((one for one in offered if one.startswith(BEARER_SUBPROTOCOL)), None)
        if bearer is not None:
            return self._keys.principal(bearer.removeprefix(BEARER_SUBPROTOCOL).encode())
        return self._keys.from_headers(websocket.scope["headers"])

    async def _serve_admitted(
        self, websocket: WebSocket, subprotocol: str | None, after: int | None
    ) -> None:
        try:
            subscription = await self._feed.subscribe()
        except TimeoutError:
            await self._refuse(websocket)
            return
        try:
            try:
                # While the handshake can still be refused.
                greeting = await self._greeting(subscription, after)
            except DatabaseError:
                await self._refuse(websocket)
                return
            await websocket.accept(subprotocol=subprotocol)
            code = await self._serve_accepted(websocket, subscription, greeting)
        except WebSocketDisconnect:
            return
        finally:
            self._feed.unsubscribe(subscription)
        await self._close(websocket, code)

    async def _refuse(self, websocket: WebSocket) -> None:
        problem = unavailable("feed-unavailable", "the change feed cannot be followed", 5)
        await websocket.send_denial_response(self._problems.respond(problem))

    async def _greeting(self, subscription: Subscription, after: int | None) -> list[str]:
        """What a client is sent at first: that it is connected, and what it has missed.

        Raises:
            DatabaseError: what it has missed cannot be read.
        """
        begin = subscription.after
        if after is None:
            return [hello(begin)]
        missed = await self._feed.resume(subscription, after)
        if missed is None:
            missed = [reset(begin)]
        return [hello(after), *missed]

    async def _serve_accepted(
        self, websocket: WebSocket, subscription: Subscription, greeting: list[str]
    ) -> int:
        """The close code, once something ends the socket."""
        works = [
            self._write(websocket, subscription, greeting),
            self._watch(subscription),
            self._read(websocket),
        ]
        if self._keys.rotate:
            works.append(self._revoked(websocket))
        tasks = [asyncio.create_task(work) for work in works]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _write(
        self, websocket: WebSocket, subscription: Subscription, greeting: list[str]
    ) -> int:
        for one in greeting:
            await websocket.send_text(one)
        while (message := await subscription.next()) is not None:
            await websocket.send_text(message)
        return _close_code(subscription)

    async def _watch(self, subscription: Subscription) -> int:
        """The writer may be stuck in a send to a client that does not read: look from outside."""
        await subscription.ended()
        return _close_code(subscription)

    async def _revoked(self, websocket: WebSocket) -> int:
        await self._keys.revoked(lambda: self._principal(websocket))
        return POLICY_VIOLATION

    async def _read(self, websocket: WebSocket) -> int:
        loop = asyncio.get_running_loop()
        window, count = loop.time(), 0
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message["code"])
            if message.get("text") is None:
                return UNSUPPORTED_DATA
            if loop.time() - window > 60:  # noqa: PLR2004
                window, count = loop.time(), 0
            count += 1
            if count > MESSAGES_PER_MINUTE:
                return POLICY_VIOLATION

    async def _close(self, websocket: WebSocket, code: int) -> None:
        self._metrics.closes.labels(str(code)).inc()
        reason = {
            GOING_AWAY: "shutting down",
            UNSUPPORTED_DATA: "expected text",
            POLICY_VIOLATION: "too many messages, or a key that is no longer valid",
            TRY_AGAIN_LATER: "too slow: connect again with last_event_id",
        }[code]
        close_now: Callable[[int, str, float], None] | None = websocket.scope["extensions"].get(
            CLOSE_NOW
        )
        if close_now is not None:
            close_now(code, reason, CLOSE_SECONDS)
            return
        async with asyncio.timeout(CLOSE_SECONDS):
            await websocket.close(code, reason)


def _close_code(subscription: Subscription) -> int:
    return GOING_AWAY if subscription.closing else TRY_AGAIN_LATER


def _last_event_id(websocket: WebSocket) -> int | None:
    text = websocket.query_params.get("last_event_id")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):  # noqa: PLR2004
        raise Problem(422, "invalid-request", f"last_event_id: got {text!r}; expected a number")
    return int(text)
