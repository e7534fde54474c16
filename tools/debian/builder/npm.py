"""Which npm registry this machine is configured with; npm itself is not in the builder root.

Where no file names one, npm's own default counts. Asking npm takes a third of a second, and the
answer does not change, so it is kept.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

_VARIABLES = ("NPM_CONFIG_REGISTRY", "npm_config_registry")
# Where npm keeps what holds for all users, by who packaged it: PREFIX/etc, or Debian's /etc.
_GLOBAL = ("usr/local/etc/npmrc", "usr/etc/npmrc", "etc/npmrc")


def registry(environment: Mapping[str, str], kept: Path, root: Path = Path("/")) -> str | None:
    """The registry as npm would find it (npm's documentation, "config"); None where none is named.

    The environment wins over the person's .npmrc, and that over the machine's. `kept` is the file
    that npm's own answer is kept in.
    """
    for name in _VARIABLES:
        if environment.get(name):
            return environment[name]
    home = environment.get("HOME", "")
    person = environment.get("NPM_CONFIG_USERCONFIG") or f"{home}/.npmrc"
    shared = environment.get("NPM_CONFIG_GLOBALCONFIG")
    for place in (person, *([shared] if shared else _GLOBAL)):
        if found := _setting(root / place.lstrip("/")):
            return found
    return _default(kept)


def _default(kept: Path) -> str | None:
    if kept.exists():
        return kept.read_text(encoding="utf-8") or None
    npm = shutil.which("npm")
    if npm is None:
        return None
    try:
        done = subprocess.run(
            [npm, "config", "get", "registry"],
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
            cwd="/",
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    answer = done.stdout.strip()
    if done.returncode or not answer.startswith(("http://", "https://")):
        return None
    # Two builds at once have a file each.
    beside = kept.with_suffix(f".{os.getpid()}")
    beside.write_text(answer, encoding="utf-8")
    beside.rename(kept)
    return answer


def _setting(file: Path) -> str | None:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    for line in lines:
        name, _, value = line.partition("=")
        if name.strip() == "registry":
            return value.strip().strip("\"'") or None
    return None
