"""Packs one wheel for layers: leaves out, strips ELF files, compiles, and writes its part.

A wheel's part is made by an action of its own, so that an update of another wheel leaves it alone,
and the layers of all services take the same.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from rules.layers import bytecode, part, runfiles, worker
from rules.layers.elf import ElfError
from rules.layers.exclusions import Exclusions
from rules.layers.strip import Strip
from rules.layers.tree import File, LayerError, Tree


def tree(
    files: Iterable[tuple[str, Path]], places: runfiles.Places, exclusions: Exclusions
) -> Tree:
    """The files of a wheel, which are named as runfiles, that belong in a layer."""
    found = Tree()
    named = dict(files)
    wheels = runfiles.Wheels(named)
    for runfile, source in named.items():
        path = places.of(runfile)
        if path and path.lstrip("/") not in exclusions:
            found.add(path, File(source.read_bytes(), False, wheels.origin(runfile)))
    return found


def strip(found: Tree, program: Strip, architecture: str) -> None:
    """Replaces ELF files by what is left of them; raises `LayerError` where one cannot be."""
    for path, file in list(found.files()):
        content = file.read()
        try:
            made = program.stripped(content, architecture)
        except ElfError as error:
            raise LayerError(
                f"/{path} from {file.origin} cannot be stripped: {error}. Leave it out by "
                "image/exclusions.toml, or say strip = False in service_image"
            ) from None
        if made is not None:
            digest = hashlib.sha256(content).hexdigest()
            found.remove(path)
            made_of = (f"/{path}",)
            found.add(path, file._replace(content=made, made_of=made_of, stripped=digest))


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, fromfile_prefix_chars="@")
    parser.add_argument("--packed", type=Path, required=True, help="gzip member to write: entries")
    parser.add_argument("--contents", type=Path, required=True, help="JSON lines to write: entries")
    parser.add_argument("--packages-path", required=True, help="folder of wheels in the image")
    parser.add_argument("--import-root", action="append", default=[])
    parser.add_argument("--exclude", type=Path, action="append", default=[], help="TOML of globs")
    parser.add_argument("--architecture", required=True, help="CPU of the image")
    parser.add_argument("--compile", action="append", default=[], help="folder of Python sources")
    parser.add_argument("--strip", type=Path, help="Debian root that has strip; else none is done")
    parser.add_argument("--runfile", nargs=2, action="append", default=[], metavar=("PATH", "FILE"))
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the part of one wheel, and its contents."""
    options = _arguments().parse_args(arguments)
    try:
        found = tree(
            ((runfile, Path(source)) for runfile, source in options.runfile),
            runfiles.Places("", options.packages_path, options.import_root),
            Exclusions(options.exclude),
        )
        if options.strip:
            strip(found, Strip(options.strip), options.architecture)
        bytecode.add(found, options.compile)
        # Folders are the layer's, which has those of all its wheels.
        made = part.pack((path, entry) for path, entry in found.sorted() if isinstance(entry, File))
    except LayerError as error:
        print(error, file=sys.stderr)
        return 1
    part.put(made.packed, options.packed)
    options.contents.write_text(part.lines(made.rows))
    return 0


if __name__ == "__main__":
    sys.exit(worker.main(main))
