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
# An answer of 404 only says that this index does not have the package.
_UNREACHABLE = re.compile(
    r"connection broken by|connection error|Failed to establish|Max retries exceeded|"
    r"name resolution|CERTIFICATE_VERIFY_FAILED|Could not fetch URL \S+: (?!404 )|"
    r"HTTP error (?!404 )\d|There was a problem confirming the ssl certificate"
)
_RETRY = re.compile(r"Retrying \(Retry\([^)]*\)\) after | object at 0x[0-9a-f]+")
_GOT = re.compile(r"^\s*Got\s+([0-9a-f]{64})$", re.MULTILINE)
_NO_FILE = "No matching distribution found"
_LINES = 12


@dataclass(frozen=True)
class Wanted:
    """A package at a version (`NAME==VERSION`), and the sha256 that its file may have."""

    requirement: str
    hashes: tuple[str, ...]


def sha256(file: Path) -> str:
    """The hash of a file, in hex."""
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def download(many: list[Wanted], target: Target, folder: Path) -> list[Path]:
    """Fetches wheels into a folder in one run of pip, and returns their paths.

    Raises:
        WheelError: no index answers, none has a wheel for the target, or its hash is not locked.
    """
    listing = folder / "requirements.txt"
    listing.write_text(
        "".join(
            " ".join([wanted.requirement, *(f"--hash=sha256:{value}" for value in wanted.hashes)])
            + "\n"
            for wanted in many
        )
    )
    command = [
        sys.executable,
        *("-I", str(Path(__file__).with_name("preference.py")), "download"),
        *("--no-deps", "--require-hashes", "--only-binary=:all:", "--progress-bar=off"),
        *target.pip_options(),
        f"--dest={folder}",
        f"--requirement={listing}",
    ]
    if output := _run(command):
        if _NO_FILE in output and not _UNREACHABLE.search(output):
            # Only in detail does pip name the files that it passed over, and why.
            output = _run([*command, "-vv"]) or output
        raise WheelError(_failure(many[0], target, output))
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != len(many):
        raise WheelError(f"pip left {len(wheels)} wheels; expected {len(many)}")
    return wheels


def _run(command: list[str]) -> str:
    """Runs pip and returns what it wrote if it failed; nothing if it succeeded."""
    environment = {
        name: value for name, value in os.environ.items() if name not in _NOT_THE_PERSONS
    }
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment | _OURS,
        text=True,
        errors="replace",
        check=False,
    )
    return (done.stdout or f"exit code {done.returncode}") if done.returncode else ""


def _failure(wanted: Wanted, target: Target, output: str) -> str:
    """What to tell the person, from what pip wrote."""
    if "No module named 'pip'" in output:
        return "pip is missing. On Debian: apt-get install python3-pip"
    if got := _GOT.search(output):
        return mismatch(wanted, got[1], _source(output))
    # pip says the same of each of its retries, but for how many are left.
    silent = dict.fromkeys(
        _RETRY.sub("", line).strip() for line in output.splitlines() if _UNREACHABLE.search(line)
    )
    if silent:
        reasons = "".join(f"\n    {line}" for line in list(silent)[:_LINES])
        return (
            f"{wanted.requirement}: no Python index that answers has it. "
            f"Tried: {_tried(output)}.{reasons}\n"
            "Name an index with `pip config set global.index-url URL` or PIP_INDEX_URL, a proxy "
            "with https_proxy, a certificate authority with PIP_CERT."
        )
    if _NO_FILE in output:
        listed = "".join(f"\n    {name}" for name in _files(wanted, output)) or " none"
        return (
            f"{wanted.requirement}: no wheel for CPython {target.python} on {target.platform}. "
            f"Files of this version at {_tried(output)}:{listed}\n"
            "Lock a version that has one: `tools/bazel run //:requirements.update`."
        )
    tail = "".join(f"\n    {line}" for line in output.strip().splitlines()[-_LINES:])
    return f"{wanted.requirement} for {target.platform}: pip failed:{tail}"


def mismatch(wanted: Wanted, actual: str, source: str) -> str:
    """The text of the error for a file that is not what the lock says."""
    expected = "\n             ".join(wanted.hashes)
    return (
        f"{wanted.requirement}: wrong sha256.\n"
        f"    expected {expected}\n"
        f"    actual   {actual}\n"
        f"    source   {source}\n"
        "If the index is right, lock it anew: `tools/bazel run //:requirements.update`."
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
    name, _, version = wanted.requirement.partition("==")
    spelled = re.sub(r"[-_.]+", "[-_.]+", name)
    pattern = rf"/({spelled}-{re.escape(version)}(?:-[\w.]+)*\.(?:whl|tar\.gz|zip))\b"
    return sorted(set(re.findall(pattern, output, re.IGNORECASE)))
