"""The rows of the matrix: each a build with one thing varied, compared with the baseline."""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rules.diff import rendering
from rules.diff.__main__ import compare
from tests.reproducibility import checkout, machine
from tests.reproducibility.checkout import BuildError, Checkout, Sources
from tests.reproducibility.machine import LackError, Made, Place
from tests.reproducibility.variations import BASELINE, RELEASE, Machine, Variation

SAME, DIFFERENT, FAILED, NOT_RUN = "same", "different", "failed", "not run"
_GIGABYTES = 4.0
# What of a builder root could get into an image, the likeliest first.
_OF_INTEREST = ("zlib1g", "gzip", "xz-utils", "zstd", "tar", "python3", "libc6", "openjdk-", "git")
_SHOWN = 8


@dataclass(frozen=True)
class Row:
    """What came of a variation."""

    name: str
    result: str
    digest: str
    detail: str
    seconds: float


class Matrix:
    """Builds rows; the baseline comes first, and what it has fetched serves others."""

    def __init__(self, sources: Sources, scratch: Path, cache: Path, faketime: Path) -> None:
        """`cache` holds builder root and downloads; `faketime` Debian's package libfaketime."""
        self._sources = sources
        self._scratch = scratch
        self._place = Place(scratch, cache, "", faketime)
        self._kept = scratch / "baseline"
        self._shared: Checkout | None = None
        self.digest = ""

    def row(self, variation: Variation) -> Row:
        """Builds one variation."""
        began = time.monotonic()
        try:
            lacking(variation)
            self._space()
            result, digest, detail = self._built(variation)
        except LackError as error:
            result, digest, detail = NOT_RUN, "", str(error)
        except (BuildError, OSError, shutil.Error) as error:
            result, digest, detail = FAILED, "", str(error)
        return Row(variation.name, result, digest, detail, round(time.monotonic() - began, 1))

    def close(self) -> None:
        """Ends what still runs."""
        if self._shared:
            self._shared.remove()
            self._shared = None

    def _space(self) -> None:
        if (free := checkout.free(self._scratch)) < _GIGABYTES:
            raise BuildError(
                f"{self._scratch}: {_GIGABYTES:g} GB free expected, got {free:.1f}; "
                "--scratch names another folder"
            )

    def _built(self, variation: Variation) -> tuple[str, str, str]:
        if variation.name == BASELINE:
            return self._baseline(variation)
        if variation.name == RELEASE:
            return self._release(variation)
        place = self._apart if variation.fetch else self._again
        with place(variation) as built:
            digest = built.build()
            if variation.suite and not (detail := self._others(built)):
                raise LackError(f"{variation.suite} has no other version of what matters here")
            if digest == self.digest:
                return SAME, digest, detail if variation.suite else built.made.note
            return DIFFERENT, digest, self._difference(built, self._kept)

    def _baseline(self, variation: Variation) -> tuple[str, str, str]:
        built = self._checkout(variation, Made(self._scratch))
        self._shared = built
        built.copy(self._sources)
        self.digest = built.build()
        built.keep(self._kept)
        self._place = replace(self._place, key=machine.root_key(built.output))
        return SAME, self.digest, ""

    def _checkout(self, variation: Variation, made: Made) -> Checkout:
        folder = made.folder / variation.folder
        return Checkout(
            variation,
            made,
            folder,
            # What an action may see of its place is this folder, not the checkout's.
            folder.parent / "output",
            self._scratch / f"{variation.name}.log",
            self._place.cache,
        )

    @contextmanager
    def _apart(self, variation: Variation) -> Iterator[Checkout]:
        """A checkout with an output base of its own, in the baseline's place."""
        self.close()
        with machine.make(variation.machine, self._place) as made:
            built = self._checkout(variation, made)
            try:
                built.copy(self._sources)
                yield built
            except BuildError as error:
                # Without a server, it was the other builder root that could not be had.
                if variation.suite and not (built.output / "server").is_dir():
                    raise LackError(f"no builder root of {variation.suite}: {error}") from error
                raise
            finally:
                built.remove()

    @contextmanager
    def _again(self, variation: Variation) -> Iterator[Checkout]:
        """The baseline's checkout or one in its place, with nothing built, but all fetched."""
        plain = self._plain()
        with machine.make(variation.machine, self._place) as made:
            built = self._checkout(variation, made)
            if variation.clone or variation.copy_umask or variation.modified is not None:
                plain.shutdown()
                checkout.remove(plain.folder)
                built.copy(self._sources)
            plain.clean()
            if unlike := (
                made.environment or variation.prefix or variation.machine != Machine.SAME
            ):
                plain.shutdown()
            try:
                yield built
            finally:
                if unlike:
                    built.shutdown()

    @contextmanager
    def _stamped(self, variation: Variation) -> Iterator[Checkout]:
        """A clone in the baseline's place: what the row before has built, or a new one."""
        if self._shared and (self._shared.folder / ".git").exists():
            yield self._checkout(variation, Made(self._scratch))
            return
        with self._again(variation) as built:
            yield built

    def _plain(self) -> Checkout:
        """The shared checkout, as the baseline had it."""
        shared = self._shared
        if shared is None:
            raise BuildError("the baseline's output base is gone: a row came out of its order")
        tampered = (shared.folder / ".git").exists() or not _like(shared.folder, self._sources)
        if tampered:
            shared.shutdown()
            checkout.remove(shared.folder)
            shared.copy(self._sources)
        return shared

    def _release(self, variation: Variation) -> tuple[str, str, str]:
        """Two clones have one digest, which is not the baseline's, and the baseline's layers."""
        first = self._scratch / "first release"
        with self._stamped(variation) as built:
            digest = built.build()
            built.keep(first)
            if _layers(first) != _layers(self._kept):
                return DIFFERENT, digest, self._difference(built, self._kept)
            built.shutdown()
        if digest == self.digest:
            return DIFFERENT, digest, "no stamp: the digest is that of a build without one"
        made = Made(self._scratch / "another place")
        built = self._checkout(variation, made)
        try:
            built.copy(self._sources)
            second = built.build()
            if second != digest:
                return DIFFERENT, second, self._difference(built, first)
        finally:
            built.remove()
            shutil.rmtree(first, ignore_errors=True)
        return SAME, digest, "two clones; layers are the baseline's"

    def _difference(self, built: Checkout, expected: Path) -> str:
        other = self._scratch / "different"
        built.keep(other)
        try:
            return rendering.text(compare(str(expected), str(other), base=self._scratch))
        finally:
            shutil.rmtree(other, ignore_errors=True)

    def _others(self, built: Checkout) -> str:
        """Which versions the builder root of a build has and the baseline's has not."""
        roots = self._place.builder.parent
        mine = _versions(self._place.builder)
        theirs = _versions(roots / machine.root_key(built.output))
        changed = [
            f"{name} {mine[name]} -> {theirs[name]}"
            for start in _OF_INTEREST
            for name in sorted(theirs)
            if name.startswith(start) and mine.get(name, theirs[name]) != theirs[name]
        ]
        more = [f"and {len(changed) - _SHOWN} more"] if len(changed) > _SHOWN else []
        return "; ".join([*changed[:_SHOWN], *more])


def lacking(variation: Variation) -> None:
    """Raises `LackError` where this person or machine cannot have the variation."""
    if variation.root and os.geteuid() != 0:
        raise LackError("it takes root")
    if variation.program and shutil.which(variation.program) is None:
        raise LackError(
            f"{variation.program} is missing. On Debian: apt-get install {variation.package}"
        )


def _like(folder: Path, sources: Sources) -> bool:
    """Whether a checkout's files have the modes and times of the sources: one speaks for all."""
    name = "tools/bazel"
    if not (folder / name).exists():
        # A row had no other checkout to put in its place.
        return False
    mine, theirs = (folder / name).stat(), (sources.folder / name).stat()
    return (mine.st_mode, mine.st_mtime) == (theirs.st_mode, theirs.st_mtime)


def _layers(layout: Path) -> Mapping[str, list[str]]:
    """The layers of each image of a layout, by its platform."""
    found: dict[str, list[str]] = {}
    waiting = [json.loads((layout / "index.json").read_text())]
    platform = ""
    while waiting:
        document = waiting.pop()
        for descriptor in document.get("manifests", []):
            path = layout / "blobs" / descriptor["digest"].replace(":", "/")
            waiting.append(json.loads(path.read_text()))
        if "layers" in document:
            path = layout / "blobs" / document["config"]["digest"].replace(":", "/")
            config = json.loads(path.read_text())
            platform = f"{config.get('os')}/{config.get('architecture')}"
            found[platform] = [layer["digest"] for layer in document["layers"]]
    return found


def _versions(root: Path) -> Mapping[str, str]:
    try:
        lines = (root / "builder-root.versions").read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.partition("\t") for line in lines)
    return {name: version for name, _, version in pairs if version}


def sweep(place: Path) -> None:
    """Removes what a run left below a folder that was killed at once."""
    for folder in place.glob("reproducibility-*"):
        owner = folder.name.split("-")[1]
        if owner.isdigit() and not Path("/proc", owner).exists():
            with contextlib.suppress(OSError):
                checkout.remove(folder)
