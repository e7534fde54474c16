"""Takes the rounds of the comparison: in each, every contender has a turn."""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from bench import base, images, load, wheels
from bench.checkout import Checkout, copy
from bench.commands import BenchError
from bench.comparison import Figures
from bench.contenders import Bazel, Contender, Engine
from bench.servers import Unpacked
from tools.dev import postgres
from tools.locks.wheels import Pin

# Pure Python, so that one wheel is for both CPUs, and updated more often than any other.
UPDATED = "certifi"
_BEGAN = time.monotonic()
_SERVED = {"start", "reads", "writes"}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is measured, and how often.

    Attributes:
        groups: of rows.
        peers: who is compared with; the first is what plots take for 1.
        builds: rounds of clean builds, and of updates of a dependency.
        rounds: of everything else.
        seconds: of each load.
        rules_oci: a checkout of the real rule set, which is then a peer too.
        bazelrc: more settings for it.
    """

    groups: Sequence[str]
    peers: Sequence[str]
    builds: int
    rounds: int
    seconds: int
    rules_oci: Path | None = None
    bazelrc: Path | None = None


@dataclass(frozen=True)
class Places:
    """Where things are: the workspace, what is kept between runs, and this run's own folder."""

    workspace: Path
    cache: Path
    scratch: Path
    postgres: Path | None


class Comparison:
    """One run. Use it as a context: at its end nothing that it started runs."""

    def __init__(self, plan: Plan, places: Places, definition: dict[str, Any]) -> None:
        """`definition` is the service's (`NAME.service`)."""
        self._plan = plan
        self._places = places
        self._definition = definition
        self._module = Path(definition["module"].replace(".", "/"))
        self._stack = ExitStack()
        self._contenders: list[Contender] = []
        # Of each contender's first build, which a registry is taken to have.
        self._blobs: dict[str, dict[str, int]] = {}
        self._images: dict[str, Unpacked] = {}
        self._pins: list[Pin] = []
        self.figures = Figures([])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def take(self) -> None:
        """Takes all rounds.

        Raises:
            BenchError: something cannot be measured here; the text says what to do.
        """
        self._prepare()
        steps: dict[str, Callable[[], None]] = {
            "size": self._size,
            "clean": self._clean,
            "unchanged": self._unchanged,
            "change": self._change,
            "dependency": self._dependency,
        }
        for group, step in steps.items():
            if group in self._plan.groups:
                step()
        if _SERVED.intersection(self._plan.groups):
            self._serve()

    def _prepare(self) -> None:
        ours = self._bazel("Bazel", [])
        self._contenders.append(ours)
        lock = self._places.workspace / "requirements_lock.txt"
        self._pins = wheels.pins(lock, images.distributions(self._images[ours.name].root))
        store = self._places.cache / f"wheels/linux_{os.uname().machine}-3.13"
        wheels.gather(self._pins, store, self._places.scratch / "wheels")
        for name in self._plan.peers:
            self._contenders.append(self._engine(name))
        if self._plan.rules_oci:
            self._contenders.append(self._bazel("rules_oci", self._overrides()))
        for one in self._contenders[1:]:
            if isinstance(one, Bazel):
                continue
            say(f"first build by {one.name}")
            self._built(one)
        self.figures.contenders = [one.name for one in self._contenders]
        self.figures.versions = {one.name: one.version() for one in self._contenders}

    def _bazel(self, name: str, startup: Sequence[str]) -> Bazel:
        folder = self._places.scratch / name
        copy(self._places.workspace, folder)
        checkout = Checkout(folder, startup=startup)
        self._stack.callback(checkout.end)
        contender = Bazel(checkout, self._module, name)
        say(f"fetching, and first build by {name}")
        self._built(contender)
        return contender

    def _overrides(self) -> list[str]:
        rc = self._places.scratch / "rules_oci.bazelrc"
        rc.write_text(f"common --override_module=rules_oci={self._plan.rules_oci}\n")
        more = [f"--bazelrc={self._plan.bazelrc}"] if self._plan.bazelrc else []
        return [f"--bazelrc={rc}", *more]

    def _engine(self, name: str) -> Engine:
        scratch = self._places.scratch
        context = scratch / f"{name}-context"
        context.mkdir()
        for folder in ("serving", self._module.parts[0]):
            shutil.copytree(scratch / "Bazel" / folder, context / folder)
        for file in ("Dockerfile", ".dockerignore"):
            shutil.copy2(scratch / "Bazel/bench/docker" / file, context / file)
        (context / "requirements.txt").write_text(wheels.requirements(self._pins))
        (scratch / name).mkdir()
        engine = Engine(name, scratch / name, context, scratch / "wheels", self._module)
        self._stack.callback(engine.end)
        suite = base.suite(self._places.workspace / "image/packages.toml")
        for one in (base.BUILD, base.RUN):
            say(f"base image {one.name} for {name}")
            engine.take(one, base.archive(one, suite, self._places.cache / "bench"))
        return engine

    def _built(self, one: Contender) -> None:
        """Builds a contender's image for the first time, and unpacks it where that serves."""
        one.build()
        layout = one.layout()
        blobs = images.blobs(layout)
        self._blobs[one.name] = blobs
        # All engines follow one Dockerfile: what the first has built is run.
        if one.name in {"Bazel", self._plan.peers[0]}:
            root = self._places.scratch / f"{one.name}-root"
            self._images[one.name] = Unpacked(root, images.unpack(layout, root))

    def _turns(self, rounds: int, what: str) -> Iterator[tuple[int, Contender]]:
        for number in range(1, rounds + 1):
            say(f"{what}: round {number} of {rounds}")
            for one in reversed(self._contenders) if number % 2 else self._contenders:
                # What one has written is no burden of the next.
                os.sync()
                yield number, one

    def _size(self) -> None:
        for name, blobs in self._blobs.items():
            self.figures.add("size", name, sum(blobs.values()) / 1e6)
        for name, image in self._images.items():
            self.figures.add("packages", name, images.packages(image.root))
            self.figures.add("files", name, images.files(image.root))

    def _clean(self) -> None:
        digests: dict[str, list[str]] = {}
        for _, one in self._turns(self._plan.builds, "clean build"):
            one.forget()
            used = one.processor_seconds()
            seconds, layout = timed(lambda: _whole(one))  # noqa: B023 - called at once
            self.figures.add("clean", one.name, seconds)
            self.figures.add("clean cpu", one.name, one.processor_seconds() - used)
            digests.setdefault(one.name, []).append(images.digest(layout))
        for name, found in digests.items():
            if len(found) < 2:
                continue
            self.figures.add("digests", name, len(set(found)))
            self.figures.add("digests", name, len(found))

    def _unchanged(self) -> None:
        for number, one in self._turns(self._plan.rounds, "nothing changed"):
            if number == 1:
                one.build()
            self.figures.add("unchanged", one.name, timed(one.build)[0])

    def _change(self) -> None:
        for number, one in self._turns(self._plan.rounds, "a line changed"):
            one.change(number)
            self.figures.add("change", one.name, timed(one.build)[0])
            if number == 1:
                self._count("change", one)
        for one in self._contenders:
            one.change(0)

    def _dependency(self) -> None:
        pin = wheels.named(self._pins, UPDATED)
        try:
            other = wheels.former(pin, self._places.scratch / "wheels")
        except BenchError as error:
            say(f"no update of a dependency: {error}")
            why = "this machine's pip (python3-pip) found no other version"
            self.figures.notes["dependency"] = why
            return
        lock = (self._places.workspace / "requirements_lock.txt").read_text()
        both = [
            (lock, self._pins),
            (
                wheels.exchanged(lock, pin, other),
                [other if one is pin else one for one in self._pins],
            ),
        ]
        for number, one in self._turns(self._plan.builds, "a dependency updated"):
            fetches = isinstance(one, Bazel)
            if fetches and number == 1:
                # Fetches the wheel, which is not timed, and so is the version that comes before.
                one.lock(both[1][0], "")
                one.build()
                self._count("dependency", one)
            text, pins = both[(number + fetches) % 2]
            # No engine has this layer in its cache.
            one.lock(text, f"{wheels.requirements(pins)}# {number}\n")
            self.figures.add("dependency", one.name, timed(one.build)[0])
            if number == 1 and not fetches:
                self._count("dependency", one)

    def _count(self, row: str, one: Contender) -> None:
        """Enters the bytes of the image that was built last which are not in the first one."""
        new = images.pushed(self._blobs[one.name], images.blobs(one.layout()))
        self.figures.add(f"{row} push", one.name, new / 1e6)

    def _serve(self) -> None:
        if self._places.postgres is None:
            raise BenchError(f"{postgres.VARIABLE} is unset: it names an unpacked PostgreSQL 17")
        folder = self._places.scratch / "postgres"
        folder.mkdir()
        settings = {**postgres.DURABLE, "max_connections": "100"}
        try:
            database = postgres.Postgres(self._places.postgres, folder, settings=settings)
            self._stack.callback(database.stop)
            database.start()
        except (OSError, postgres.PostgresError) as error:
            raise BenchError(f"no PostgreSQL to serve from: {error}") from error
        load.migrate(self._images["Bazel"], database.url)
        ready = self._definition["ready_path"]
        if "start" in self._plan.groups:
            self._start(database.url, ready)
        served = _SERVED.intersection(self._plan.groups) - {"start"}
        if served:
            say(f"{' and '.join(sorted(served))}, {self._plan.rounds} rounds")
            for row, name, figure in load.loaded(
                self._images,
                self._places.scratch,
                database.url,
                ready,
                self._plan.rounds,
                self._plan.seconds,
                reads="reads" in served,
                writes="writes" in served,
            ):
                self.figures.add(row, name, figure)

    def _start(self, url: str, ready: str) -> None:
        for number in range(self._plan.rounds + 1):
            say(f"start: round {number} of {self._plan.rounds}")
            for name in sorted(self._images, reverse=number % 2 == 1):
                log = self._places.scratch / f"{name}-start.log"
                seconds, memory = load.start(self._images[name], log, url, ready)
                # The first round reads files from the disk.
                if number:
                    self.figures.add("start", name, seconds)
                    self.figures.add("memory", name, memory)


def _whole(one: Contender) -> Path:
    one.build()
    return one.layout()


def timed[T](work: Callable[[], T]) -> tuple[float, T]:
    """The seconds that something took, and what it returned."""
    began = time.monotonic()
    result = work()
    return time.monotonic() - began, result


def say(text: str) -> None:
    """Tells the person how far it is."""
    print(f"bench: {time.monotonic() - _BEGAN:4.0f} s: {text}", file=sys.stderr, flush=True)


def definition(file: Path) -> dict[str, Any]:
    """A service's definition."""
    found: dict[str, Any] = json.loads(file.read_text())
    return found
