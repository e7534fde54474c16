"""Fetches one wheel with pip, from wherever the person's pip configuration points."""

import hashlib
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tools.debian.modules.rules_python.wheels.error import WheelError
from tools.debian.modules.rules_python.wheels.target import Target

# Settings that would change which file is chosen, or make pip want an environment to install to.
# How to reach an index (hosts, proxies, certificates, credentials, caches) stays the person's.
_NOT_THE_PERSONS = frozenset(
    f"PIP_{name}"
    for name in (
        *("ABI", "BUILD_CONSTRAINT", "CONSTRAINT", "DEST", "DRY_RUN", "IMPLEMENTATION", "LOG"),
        *("NO_BINARY", "NO_CLEAN", "ONLY_BINARY", "PLATFORM", "PRE", "PYTHON", "PYTHON_VERSION"),
        *("QUIET", "REPORT", "REQUIREMENT", "SRC", "VERBOSE"),
    )
)
_OURS = {
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
    "PIP_REQUIRE_VIRTUALENV": "0",
    "LC_ALL": "C.UTF-8",
}
_UNREACHABLE = re.compile(
    r"(connection broken by|connection error|Failed to establish|Max retries exceeded|"
    r"Temporary failure in name resolution|SSLError|CERTIFICATE_VERIFY_FAILED|"
    r"Could not fetch URL|HTTP error \d+|ProxyError|ReadTimeout)"
)
_EXPECTED = re.compile(r"^\s*(?:Expected|or) sha256 ([0-9a-f]{64})$", re.MULTILINE)
_GOT = re.compile(r"^\s*Got\s+([0-9a-f]{64})$", re.MULTILINE)
_LINES = 12


@dataclass(frozen=True)
class Wanted:
    """A package at a version (`NAME==VERSION`), and the sha256 that its file may have."""

    requirement: str
    hashes: tuple[str, ...]
    target: Target


def download(wanted: Wanted, folder: Path) -> Path:
    """Fetches the wheel into a folder that it makes, and returns the wheel's path.

    Raises:
        WheelError: no index answers, none has a wheel for the target, or its hash is not locked.
    """
    folder.mkdir(parents=True)
    listing = folder / "requirements.txt"
    hashes = " ".join(f"--hash=sha256:{value}" for value in wanted.hashes)
    listing.write_text(f"{_without_extras(wanted.requirement)} {hashes}\n")
    done = _pip(wanted, listing, folder)
    if done.returncode:
        raise WheelError(_failure(wanted, done.stdout, listing, folder))
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise WheelError(f"{wanted.requirement}: pip left {len(wheels)} wheels; expected one")
    actual = hashlib.sha256(wheels[0].read_bytes()).hexdigest()
    if actual not in wanted.hashes:
        raise WheelError(_mismatch(wanted, actual, wheels[0].name))
    return wheels[0]


def _pip(
    wanted: Wanted, listing: Path, folder: Path, *options: str
) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value for name, value in os.environ.items() if name not in _NOT_THE_PERSONS
    }
    command = [
        sys.executable,
        *("-I", "-m", "pip", "download"),
        *("--no-deps", "--require-hashes", "--only-binary=:all:", "--progress-bar=off"),
        *wanted.target.pip_options(),
        f"--dest={folder}",
        f"--requirement={listing}",
        *options,
    ]
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment | _OURS,
        text=True,
        errors="replace",
        check=False,
    )


def _failure(wanted: Wanted, output: str, listing: Path, folder: Path) -> str:
    """What to tell the person, from what pip wrote."""
    if "No module named pip" in output:
        return "pip is missing. On Debian: apt-get install python3-pip"
    if got := _GOT.search(output):
        return _mismatch(wanted, got[1], _source(output))
    if _UNREACHABLE.search(output):
        return (
            f"{wanted.requirement}: no Python index answers. Tried: {_tried(output)}.\n"
            f"{_tail(output)}\n"
            "Name an index with `pip config set global.index-url URL` or PIP_INDEX_URL, a proxy "
            "with https_proxy, a certificate authority with PIP_CERT."
        )
    detailed = _pip(wanted, listing, folder, "-vv").stdout
    if "No matching distribution found" not in detailed:
        return f"{wanted.requirement}: pip failed:\n{_tail(output)}"
    found = _files(wanted, detailed)
    target = wanted.target
    listed = "".join(f"\n    {name}" for name in found) or " none"
    return (
        f"{wanted.requirement}: no wheel for CPython {target.python} on {target.platform}. "
        f"Files of this version at {_tried(output)}:{listed}\n"
        "Lock a version that has one: `bazel run //:requirements.update`."
    )


def _mismatch(wanted: Wanted, actual: str, source: str) -> str:
    expected = "\n             ".join(wanted.hashes)
    return (
        f"{wanted.requirement}: wrong sha256.\n"
        f"    expected {expected}\n"
        f"    actual   {actual}\n"
        f"    source   {source}\n"
        "If the index is right, lock it anew: `bazel run //:requirements.update`."
    )


def _source(output: str) -> str:
    match = re.search(r"==\S+ from (\S+?)(?:#\S*)? \(from", output)
    return match[1] if match else _tried(output)


def _tried(output: str) -> str:
    """Indexes and folders that pip looked in, as it shows them (without credentials)."""
    found = re.findall(r"^Looking in (?:indexes|links): (.*)$", output, re.MULTILINE)
    return ", ".join(found) or "pip's default index"


def _files(wanted: Wanted, output: str) -> list[str]:
    """Names of the version's files among the links that pip weighed."""
    name, _, version = _without_extras(wanted.requirement).partition("==")
    spelled = re.sub(r"[-_.]+", "[-_.]+", name)
    pattern = rf"/({spelled}-{re.escape(version)}(?:-[\w.]+)*\.(?:whl|tar\.gz|zip))\b"
    return sorted(set(re.findall(pattern, output, re.IGNORECASE)))


def _without_extras(requirement: str) -> str:
    return re.sub(r"\[.*?\]", "", requirement)


def _tail(output: str) -> str:
    return "\n".join(f"    {line}" for line in output.strip().splitlines()[-_LINES:])
