"""Requests from many clients at once, spread over the replicas that say they are ready.

What a load balancer does: a replica whose readiness fails gets no new requests.
"""

import http.client
import json
import select
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, Self
from urllib.parse import urlsplit

from backend.tests.image.container.stack import API_KEY, Replica
from tests.container.patience import patient

TODOS = "/api/v1/todos"
_CHECK_SECONDS = 0.2
# Whoever is refused does not ask again at once: refusals by the thousand show no more than dozens.
_PAUSE_SECONDS = 0.05
_SECONDS = 30
_PAGE = 100


class Target(Protocol):
    """Where requests go: a replica, or a balancer before several."""

    @property
    def url(self) -> str:
        """The base URL."""

    def health(self) -> int:
        """The status code of its readiness."""


class Load:
    """Creates todos and reads them back till the end of the context.

    `statuses` counts the answers (0: none came), `wrong` says which were not what they should be,
    `acknowledged` are the titles by path that the service said it has stored.
    """

    def __init__(self, replicas: Sequence[Target], clients: int = 4) -> None:
        self.statuses: Counter[int] = Counter()
        self.wrong: list[str] = []
        self.acknowledged: dict[str, str] = {}
        self._replicas = replicas
        self._ready = list(replicas)
        self._end = threading.Event()
        self._is_calm = False
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._work, args=(number,)) for number in range(clients)
        ]
        self._threads.append(threading.Thread(target=self._check))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    @property
    def requests(self) -> int:
        """How many were answered or failed so far."""
        return sum(self.statuses.values())

    def until(self, requests: int, seconds: float = 60) -> None:
        """Waits for so many more requests; raises `TimeoutError`."""
        target = self.requests + requests
        deadline = time.monotonic() + patient(seconds)
        while self.requests < target:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.requests} of {target} requests: {self.statuses}")
            time.sleep(0.02)

    @contextmanager
    def calm(self) -> Iterator[None]:
        """Has clients pause between todos, while what happens is not about their requests.

        Dozens show that as well as thousands, which keep the machine from getting it done.
        """
        self._is_calm = True
        try:
            yield
        finally:
            self._is_calm = False

    def until_ready_are(self, count: int, seconds: float = 30) -> None:
        """Waits until so many are in rotation; raises `TimeoutError`."""
        deadline = time.monotonic() + patient(seconds)
        while len(self._ready) != count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(self._ready)} are ready; expected {count}")
            time.sleep(0.02)

    def _check(self) -> None:
        while not self._end.wait(_CHECK_SECONDS):
            self._ready = [replica for replica in self._replicas if replica.health() == 200]

    def _work(self, number: int) -> None:
        with ExitStack() as stack:
            clients = {
                replica.url: stack.enter_context(closing(_Client(replica.url)))
                for replica in self._replicas
            }
            count = 0
            while not self._end.is_set():
                ready = self._ready
                if not ready:
                    time.sleep(0.02)
                    continue
                replica = ready[(count + number) % len(ready)]
                count += 1
                self._once(clients[replica.url], f"todo {number}-{count}")
                if self._is_calm:
                    self._end.wait(_PAUSE_SECONDS)

    def _once(self, client: "_Client", title: str) -> None:
        created = self._request(client, "POST", TODOS, {"title": title})
        if created is None or created.status != 201:
            self._end.wait(_PAUSE_SECONDS)
            return
        path = created.location
        with self._lock:
            self.acknowledged[path] = title
        read = self._request(client, "GET", path)
        if read is not None and read.status == 200 and json.loads(read.body)["title"] != title:
            self.wrong.append(f"{path}: expected {title!r}, got {read.body.decode()}")
        if read is not None and read.status == 404:
            self.wrong.append(f"{path}: was created, and is not found")

    def _request(
        self, client: "_Client", method: str, path: str, document: object = None
    ) -> "_Answer | None":
        try:
            answer = client.request(method, path, document)
        except (OSError, http.client.HTTPException) as error:
            answer = None
            note = f"{method} {client.url}{path}: {error!r}"
        with self._lock:
            self.statuses[answer.status if answer is not None else 0] += 1
            if answer is None:
                self.wrong.append(note)
        return answer


@dataclass(frozen=True)
class _Answer:
    status: int
    location: str
    body: bytes


class _Client:
    """One connection, of the standard library: httpx takes as long as the service that it asks."""

    def __init__(self, url: str) -> None:
        self.url = url
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(
            parts.hostname or "", parts.port, timeout=_SECONDS
        )
        self._headers = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}

    def close(self) -> None:
        self._connection.close()

    def request(self, method: str, path: str, document: object = None) -> _Answer:
        """Asks once, whatever comes of it; raises `OSError` or `HTTPException`.

        A connection that the service has closed meanwhile is not used again (RFC 9112, 9.6).
        """
        socket = self._connection.sock
        if socket is not None and select.select([socket], [], [], 0)[0]:
            self._connection.close()
        body = None if document is None else json.dumps(document)
        try:
            self._connection.request(method, path, body, self._headers)
            answer = self._connection.getresponse()
            return _Answer(answer.status, answer.headers.get("Location", ""), answer.read())
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise


def missing(load: Load, replica: Replica) -> list[str]:
    """The acknowledged todos that are not there, or are not what they were."""
    titles = {f"{TODOS}/{todo['id']}": todo["title"] for todo in _todos(replica)}
    return [path for path, title in load.acknowledged.items() if titles.get(path) != title]


def _todos(replica: Replica) -> Iterator[dict[str, Any]]:
    """All there are, page by page."""
    with replica.client() as client:
        asked: dict[str, str | int] = {"limit": _PAGE}
        while True:
            answer = client.get(TODOS, params=asked)
            answer.raise_for_status()
            page = answer.json()
            yield from page["items"]
            if page["next_cursor"] is None:
                return
            asked["cursor"] = page["next_cursor"]
