import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from serving.data.migrate import current_revision, is_current

if TYPE_CHECKING:
    from backend.service import Service

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


class Health:
    """Answers probes.

    It looks at the database through a connection of its own: a pool in full use means load, not an
    outage, and must not take the replica out of rotation.
    """

    def __init__(self, service: "Service") -> None:
        self._service = service
        self._process = Watched("process", "ok")
        self._database = Watched("database")
        self._schema = Watched("schema")
        self._checked_at = -CACHE_SECONDS
        self._check: asyncio.Task[None] | None = None
        self._started = False

    def live(self) -> Report:
        """That the event loop runs is all that liveness means: a restart mends nothing else."""
        return Report(status="ok", components=[self._process.shown()])

    async def ready(self) -> Report:
        """Whether to send requests here; looks at the database once a second at most."""
        if self._service.draining:
            self._process.set("draining")
        elif time.monotonic() - self._checked_at >= CACHE_SECONDS:
            # One look serves all probes that arrive meanwhile, and outlives an impatient one.
            if self._check is None or self._check.done():
                self._check = asyncio.create_task(self._look())
            await asyncio.shield(self._check)
        components = [self._process, self._database, self._schema]
        status: Status = "ok"
        if self._service.draining:
            status = "draining"
        elif any(one.status != "ok" for one in components):
            status = "unavailable"
        elif self._service.ai.watched.status in {"degraded", "unavailable"}:
            status = "degraded"
        self._started = self._started or status in {"ok", "degraded"}
        components.append(self._service.ai.watched)
        return Report(status=status, components=[one.shown() for one in components])

    async def startup(self) -> Report:
        """Ready once, started for good: later outages are readiness' business."""
        if self._started:
            return Report(status="ok", components=[self._process.shown()])
        return await self.ready()

    async def _look(self) -> None:
        revision: str | None = None

        async def read_revision() -> None:
            nonlocal revision
            async with self._service.side.read() as connection:
                revision = await current_revision(connection)

        await _measured(self._database, read_revision)
        if self._database.status == "ok":
            self._schema.set("ok" if is_current(revision) else "unavailable")
        else:
            self._schema.set("unknown")
        self._checked_at = time.monotonic()


async def _measured(watched: Watched, look: Callable[[], Awaitable[None]]) -> None:
    began = time.perf_counter()
    try:
        async with asyncio.timeout(BUDGET_SECONDS):
            await look()
    except Exception:  # noqa: BLE001  (whatever it was, the component did not answer)
        watched.set("unavailable")
    else:
        watched.set("ok", time.perf_counter() - began)
