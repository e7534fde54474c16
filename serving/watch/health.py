"""Probes: whether the process lives, has started, and should be sent requests."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Literal, Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict

from serving.watch.lifecycle import Lifecycle

BUDGET_SECONDS = 1.0
CACHE_SECONDS = 1.0

type Status = Literal["ok", "degraded", "unavailable", "draining", "disabled", "unknown"]


class Component(BaseModel):
    """One thing the service needs or watches."""

    component: str
    status: Status
    latency_ms: float | None = None
    since: AwareDatetime


class Report(BaseModel):
    """The answer of a health route: the worst that matters to it, and each component."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "status": "ok",
                    "components": [
                        {
                            "component": "database",
                            "status": "ok",
                            "latency_ms": 0.8,
                            "since": "2030-06-01T08:30:00Z",
                        }
                    ],
                }
            ]
        }
    )

    status: Status
    components: list[Component]


class Watched:
    """A component's status and the time since which it has had it."""

    def __init__(self, name: str, status: Status = "unknown") -> None:
        self.name = name
        self.status: Status = status
        self.latency: float | None = None
        self.since = datetime.now(UTC)

    def set(self, status: Status, latency: float | None = None) -> None:
        """Note a look at the component; `latency` in seconds."""
        if status != self.status:
            self.status = status
            self.since = datetime.now(UTC)
        self.latency = latency

    def shown(self) -> Component:
        """As a member of a report."""
        latency = None if self.latency is None else round(self.latency * 1000, 2)
        return Component(
            component=self.name, status=self.status, latency_ms=latency, since=self.since
        )


class Check(Protocol):
    """What a look at something tells: the statuses of one component or several.

    Attributes:
        components: each has to be `ok` for the service to be ready.
    """

    components: Sequence[Watched]

    async def look(self) -> None:
        """Bring the components' statuses up to date; it never raises."""


class Health:
    """Answers probes.

    Args:
        lifecycle: where the process stands.
        required: what readiness looks at, once a second at most.
        observed: what others watch, and what readiness shows but does not depend on.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        *,
        required: Sequence[Check] = (),
        observed: Sequence[Watched] = (),
    ) -> None:
        self._lifecycle = lifecycle
        self._process = Watched("process", "ok")
        self._required = required
        self._observed = observed
        self._looked_at = -CACHE_SECONDS
        self._looking: asyncio.Task[None] | None = None
        self._started = False

    def live(self) -> Report:
        """That the event loop runs is all that liveness means: a restart mends nothing else."""
        return Report(status="ok", components=[self._process.shown()])

    async def ready(self) -> Report:
        """Whether to send requests here."""
        if self._lifecycle.draining:
            self._process.set("draining")
        elif time.monotonic() - self._looked_at >= CACHE_SECONDS:
            # One look serves all probes that arrive meanwhile, and outlives an impatient one.
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(self._look())
            await asyncio.shield(self._looking)
        components = [self._process, *(one for check in self._required for one in check.components)]
        status: Status = "ok"
        if self._lifecycle.draining:
            status = "draining"
        elif any(one.status != "ok" for one in components):
            status = "unavailable"
        elif any(one.status in {"degraded", "unavailable"} for one in self._observed):
            status = "degraded"
        self._started = self._started or status in {"ok", "degraded"}
        components += self._observed
        return Report(status=status, components=[one.shown() for one in components])

    async def startup(self) -> Report:
        """Ready once, started for good: later outages are readiness' business."""
        if self._started:
            return Report(status="ok", components=[self._process.shown()])
        return await self.ready()

    async def _look(self) -> None:
        await asyncio.gather(*(check.look() for check in self._required))
        self._looked_at = time.monotonic()


async def measured(watched: Watched, look: Callable[[], Awaitable[None]]) -> None:
    """Look at a component within the budget, and note its status and latency."""
    began = time.perf_counter()
    try:
        async with asyncio.timeout(BUDGET_SECONDS):
            await look()
    except Exception:  # noqa: BLE001  (whatever it was, the component did not answer)
        watched.set("unavailable")
    else:
        watched.set("ok", time.perf_counter() - began)
