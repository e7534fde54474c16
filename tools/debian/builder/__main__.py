"""Runs Bazel from a root of Debian packages, making that root first where it is missing."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tools.debian.builder.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
