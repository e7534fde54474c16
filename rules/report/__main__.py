"""Writes a report about an image: one file of HTML."""

import argparse
import sys
from pathlib import Path

from rules.report import contents, page


def main() -> int:
    """Writes what the arguments name."""
    parser = argparse.ArgumentParser(prog="report", description=__doc__, allow_abbrev=False)
    parser.add_argument("--name", required=True, help="of the service")
    parser.add_argument("--index", type=Path, required=True, help="OCI layout of the images")
    parser.add_argument(
        "--sbom", nargs=2, action="append", required=True, metavar=("CPU", "FILE"), help="SPDX JSON"
    )
    parser.add_argument("--output", type=Path, required=True, help="file to write")
    options = parser.parse_args()
    digest, images = contents.read(options.index, {cpu: Path(file) for cpu, file in options.sbom})
    options.output.write_text(page.html(options.name, digest, images))
    return 0


if __name__ == "__main__":
    sys.exit(main())
