"""Requests from many clients at once, spread over the replicas that say they are ready.

What a load balancer does: a replica whose readiness fails gets no new requests.
"""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Protocol, Self

import httpx

from tests.container.patience import patient
from tests.container.stack import API_KEY, Replica

TODOS = "/api/v1/todos"
_CHECK_SECONDS = 0.2


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
        headers = {"Authorization": f"Bearer {API_KEY}"}
        with httpx.Client(headers=headers, timeout=30) as client:
            count = 0
            while not self._end.is_set():
                ready = self._ready
                if not ready:
                    time.sleep(0.02)
                    continue
                replica = ready[(count + number) % len(ready)]
                count += 1
                self._once(client, replica, f"todo {number}-{count}")

    def _once(self, client: httpx.Client, replica: Target, title: str) -> None:
        created = self._request(client, "POST", f"{replica.url}{TODOS}", {"title": title})
        if created is None or created.status_code != 201:
            return
        path = created.headers["location"]
        with self._lock:
            self.acknowledged[path] = title
        read = self._request(client, "GET", f"{replica.url}{path}")
        if read is not None and read.status_code == 200 and read.json()["title"] != title:
            self.wrong.append(f"{path}: expected {title!r}, got {read.text}")
        if read is not None and read.status_code == 404:
            self.wrong.append(f"{path}: was created, and is not found")

    def _request(
        self, client: httpx.Client, method: str, url: str, document: object = None
    ) -> httpx.Response | None:
        try:
            answer = client.request(method, url, json=document)
        except httpx.TransportError as error:
            answer = None
            note = f"{method} {url}: {error!r}"
        with self._lock:
            self.statuses[answer.status_code if answer is not None else 0] += 1
            if answer is None:
                self.wrong.append(note)
        return answer


def missing(load: Load, replica: Replica) -> list[str]:
    """The acknowledged todos that are not there."""
    with replica.client() as client:
        return [
            path
            for path, title in load.acknowledged.items()
            if client.get(path).json().get("title") != title
        ]
