"""Runs Bazel from a root of Debian packages, making that root first where it is missing."""

import sys
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036 - the host's Python, not the project's
    version = ".".join(map(str, sys.version_info[:2]))
    sys.exit(f"tools/bazel: Python 3.11 or later expected (Debian 12 has it), got {version}")

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tools.debian.builder.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
