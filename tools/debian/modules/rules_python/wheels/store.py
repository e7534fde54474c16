"""Wheels that were fetched before, kept below the person's cache folder.

Bazel asks for many wheels at once, each in its own process, and most of what pip takes for one is
its own start. So whoever comes first fetches what all those who wait have asked for.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from packaging.utils import canonicalize_name, parse_wheel_filename

from tools.debian.modules.rules_python.wheels import index
from tools.debian.modules.rules_python.wheels.error import WheelError
from tools.debian.modules.rules_python.wheels.index import Wanted
from tools.debian.modules.rules_python.wheels.target import Target

# How one of several wheels is chosen. Those that were fetched before by another rule are not taken:
# the image would be another one than on a new machine.
_PREFERENCE = "platform, interpreter, ABI"
# Seconds after which whoever asked is taken to be gone: its build was interrupted.
_PATIENCE = 60


def default_folder(environment: Mapping[str, str]) -> Path:
    """The store's place below the person's cache folder (XDG Base Directory, section 3)."""
    base = Path(environment.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():
        base = Path(environment.get("HOME") or Path.home(), ".cache")
    return base / "bazel-debian/wheels"


class Store:
    """Wheels for one target; `folder` is shared by every process and every clone."""

    def __init__(self, folder: Path, target: Target) -> None:
        self._target = target
        self._folder = folder / f"{target.platform}-{target.python}"
        self._requests = self._folder / "requests"

    def wheel(self, wanted: Wanted) -> Path:
        """A wheel's path; the file's hash is one of those wanted. Fetched where it is not there.

        Raises:
            WheelError: as `index.download`.
        """
        if held := self._held(wanted):
            return held
        self._requests.mkdir(parents=True, exist_ok=True)
        request = self._request(wanted)
        with self._locked():
            if held := self._held(wanted):
                # Others' requests are left to one who fetches.
                (self._requests / request).unlink(missing_ok=True)
                return held
            # Whose request is gone has waited for a run of pip, which failed.
            if (self._requests / request).exists() and len(taken := self._taken(request)) > 1:
                # Where one of them cannot be had, each fetches its own and says so itself.
                with contextlib.suppress(WheelError):
                    self._fetch(taken)
            try:
                return self._held(wanted) or self._fetch([wanted])[0]
            except WheelError as error:
                if broken := list(self._place(wanted).glob("*.whl")):
                    raise WheelError(
                        f"{broken[0]}: this copy, fetched before, is broken: its sha256 is "
                        f"{index.sha256(broken[0])}. A new one could not be had.\n{error}"
                    ) from None
                raise

    def _place(self, wanted: Wanted) -> Path:
        chosen = " ".join([_PREFERENCE, *sorted(wanted.hashes)])
        key = hashlib.sha256(chosen.encode()).hexdigest()[:16]
        return self._folder / f"{wanted.requirement}-{key}"

    def _held(self, wanted: Wanted) -> Path | None:
        for wheel in self._place(wanted).glob("*.whl"):
            if index.sha256(wheel) in wanted.hashes:
                return wheel
        return None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._folder / "lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _request(self, wanted: Wanted) -> str:
        name = f"{self._place(wanted).name}.{os.getpid()}"
        beside = self._folder / f"{name}.new"
        beside.write_text(json.dumps([wanted.requirement, wanted.hashes]))
        beside.rename(self._requests / name)
        return name

    def _taken(self, first: str) -> list[Wanted]:
        """What is asked for and pip can fetch at once; from here on nobody else takes it.

        Of a package that several locks have in several versions it is one, the first request's
        before others'; the other versions are left to the next run.
        """
        taken: dict[str, Wanted] = {}
        for request in sorted(
            self._requests.iterdir(), key=lambda file: (file.name != first, file)
        ):
            age = time.time() - request.stat().st_mtime
            requirement, hashes = json.loads(request.read_text())
            wanted = Wanted(requirement, tuple(hashes))
            served = age >= _PATIENCE or (request.name != first and self._held(wanted))
            if served or taken.setdefault(requirement.partition("==")[0], wanted) == wanted:
                request.unlink()
        return list(taken.values())

    def _fetch(self, many: list[Wanted]) -> list[Path]:
        """Fetches wheels and puts each in its place."""
        with tempfile.TemporaryDirectory(dir=self._folder, prefix="download-") as scratch:
            fetched = {
                _key(wheel): wheel for wheel in index.download(many, self._target, Path(scratch))
            }
            places = []
            for wanted in many:
                wheel = fetched[tuple(wanted.requirement.split("=="))]
                actual = index.sha256(wheel)
                if actual not in wanted.hashes:
                    raise WheelError(index.mismatch(wanted, actual, wheel.name))
                place = self._place(wanted) / wheel.name
                place.parent.mkdir(exist_ok=True)
                places.append(wheel.rename(place))
            return places


def _key(wheel: Path) -> tuple[str, ...]:
    name, version, _, _ = parse_wheel_filename(wheel.name)
    return canonicalize_name(name), str(version)
