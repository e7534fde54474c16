"""Fills a service's definition into one file."""

import argparse
import sys
from pathlib import Path

from deploy import definition


def main() -> int:
    """Writes the file; returns 1, having written none, where that is not possible."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--service", type=Path, required=True, help="the definition, JSON")
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    service = definition.read(arguments.service)
    try:
        text = definition.filled(arguments.source.read_text(), service, str(arguments.source))
    except definition.DefinitionError as error:
        print(f"fill: {error}", file=sys.stderr)
        return 1
    arguments.output.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
