"""Reads a lock for the module extension, and fills the repository of one wheel."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[5]))

from tools.debian.modules.rules_python.wheels.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
