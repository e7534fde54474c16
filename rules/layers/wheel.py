"""Does for one wheel what takes the time when a layer is written: compiles, and strips ELF files.

A wheel's results are one file, so that an update of another wheel leaves it alone, and the layers
of all services take the same.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from rules.layers import bytecode, prepared, runfiles
from rules.layers.elf import ElfError
from rules.layers.strip import Strip


def prepare(file: Path, contents: Mapping[str, bytes], strip: Strip, architecture: str) -> None:
    """Writes what `Prepared` reads of a wheel's files, which are by their path in the image.

    What does not compile is left to the layer, which may not want it; so is what cannot be
    stripped, with the reason.
    """
    modules = [(path, content) for path, content in contents.items() if path.endswith(".py")]
    compiled = zip(modules, bytecode.compiled_all(modules), strict=True)
    byte_code = {path: made for (path, _), made in compiled if isinstance(made, bytes)}
    stripped: dict[str, bytes] = {}
    refused: dict[str, str] = {}
    for path, content in contents.items():
        try:
            if (made := strip.stripped(content, architecture)) is not None:
                stripped[path] = made
        except ElfError as error:
            refused[path] = str(error)
    prepared.write(file, byte_code, stripped, refused)


def main() -> int:
    """Writes the results of one wheel."""
    parser = argparse.ArgumentParser(description=__doc__, fromfile_prefix_chars="@")
    parser.add_argument("--output", type=Path, required=True, help="file to write")
    parser.add_argument("--packages-path", required=True, help="folder of wheels in the image")
    parser.add_argument("--import-root", action="append", default=[])
    parser.add_argument("--architecture", required=True, help="CPU of the image")
    parser.add_argument("--strip", type=Path, required=True, help="Debian root that has strip")
    parser.add_argument("--runfile", nargs=2, action="append", default=[], metavar=("PATH", "FILE"))
    options = parser.parse_args()
    places = runfiles.Places("", options.packages_path, options.import_root)
    contents = {
        path.lstrip("/"): Path(source).read_bytes()
        for runfile, source in options.runfile
        if (path := places.of(runfile))
    }
    prepare(options.output, contents, Strip(options.strip), options.architecture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
