"""The wheels of an image: their lock for pip, the files that were fetched, other versions."""

import hashlib
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from packaging.utils import canonicalize_name

from bench.commands import BenchError, run
from tools.locks.wheels import Pin, label_name, read


def pins(lock: Path, distributions: Iterable[str]) -> list[Pin]:
    """What a lock says of distributions, `NAME==VERSION` each.

    Raises:
        BenchError: it does not have one of them.
    """
    wanted = {label_name(one.partition("==")[0]) for one in distributions}
    found = [pin for pin in read(lock, lock.name) if pin.name in wanted]
    if missing := wanted - {pin.name for pin in found}:
        raise BenchError(f"{lock}: expected {', '.join(sorted(missing))}, which the image has")
    return found


def requirements(pinned: Iterable[Pin]) -> str:
    """Pins as pip reads them, with hashes."""
    return "".join(
        " \\\n    ".join([pin.requirement, *(f"--hash=sha256:{one}" for one in pin.hashes)]) + "\n"
        for pin in pinned
    )


def gather(pinned: Iterable[Pin], store: Path, target: Path) -> None:
    """Links the wheels of pins from the store that Debian mode keeps into a folder.

    Raises:
        BenchError: the store lacks one.
    """
    target.mkdir(exist_ok=True)
    for pin in pinned:
        # A lock may allow several wheels; the one that was fetched last is in the image.
        held = store.glob(f"{pin.requirement}-*/*.whl")
        for wheel in sorted(held, key=lambda file: file.stat().st_mtime_ns, reverse=True):
            if _sha256(wheel) in pin.hashes:
                shutil.copy2(wheel, target / wheel.name)
                break
        else:
            raise BenchError(
                f"{store}: {pin.requirement} is missing, which //image was built of. Wheels are "
                "kept there in Debian mode only: BAZEL_FROM=debian tools/bazel run //bench"
            )


def former(pin: Pin, target: Path) -> Pin:
    """The version before a pin's, its wheel fetched into a folder by this machine's pip.

    Raises:
        BenchError: pip is missing, or the index has none.
    """
    fetched = target / f"before-{pin.name}"
    python = ["python3", "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
    options = ["--no-deps", "--only-binary=:all:", f"--dest={fetched}"]
    name = pin.requirement.partition("==")[0]
    run([*python, *options, f"{name}<{pin.version}"])
    wheels = sorted(fetched.glob("*-none-any.whl"))
    if len(wheels) != 1:
        raise BenchError(f"{name}: expected one wheel for every platform before {pin.version}")
    version = wheels[0].name.split("-")[1]
    wheel = wheels[0].rename(target / wheels[0].name)
    fetched.rmdir()
    return replace(pin, version=version, hashes=(_sha256(wheel),))


def exchanged(lock: str, pin: Pin, other: Pin) -> str:
    """The text of a lock that names another version in place of a pin's.

    Raises:
        BenchError: it has no such pin.
    """
    name = re.escape(pin.requirement)
    entry = re.compile(rf"^{name}(?=\s)[^\n]*\n(?:[ \t]+--hash=[^\n]*\n)*", re.MULTILINE)
    text, count = entry.subn(requirements([other]), lock)
    if count != 1:
        raise BenchError(f"expected {pin.requirement} once in the lock, got it {count} times")
    return text


def named(pinned: Sequence[Pin], name: str) -> Pin:
    """The pin of a package.

    Raises:
        BenchError: there is none.
    """
    for pin in pinned:
        if canonicalize_name(pin.name) == canonicalize_name(name):
            return pin
    raise BenchError(f"expected {name} among the image's wheels")


def _sha256(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
