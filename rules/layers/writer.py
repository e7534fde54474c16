"""Writes one layer: what goes in is said by arguments, one a line in a file named @FILE."""

import argparse
import fnmatch
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rules.layers import bytecode, deb, part, runfiles, tarball, worker
from rules.layers.exclusions import Exclusions
from rules.layers.part import Part
from rules.layers.tree import Directory, File, LayerError, Symlink, Tree


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, fromfile_prefix_chars="@")

    def many(name: str, metavar: tuple[str, str], description: str) -> None:
        parser.add_argument(
            name, nargs=2, action="append", default=[], metavar=metavar, help=description
        )

    parser.add_argument("--layer", type=Path, required=True, help="tar.gz to write")
    parser.add_argument("--descriptor", type=Path, required=True, help="JSON to write: digests")
    parser.add_argument("--contents", type=Path, required=True, help="JSON lines to write: entries")
    parser.add_argument("--deb", type=Path, action="append", default=[], help="package to install")
    many("--file", ("PATH", "FILE"), "file to put at PATH")
    many("--symlink", ("PATH", "TARGET"), "symbolic link to make")
    many("--executable", ("PATH", "FILE"), "program to put at PATH")
    parser.add_argument("--directory", action="append", default=[], help="empty folder to make")
    many("--join", ("PATH", "GLOB"), "files to make one of")
    parser.add_argument("--exclude", type=Path, action="append", default=[], help="TOML of globs")
    parser.add_argument("--compile", action="append", default=[], help="folder of Python sources")
    many("--runfile", ("PATH", "FILE"), "file of a Python target, by its place among the runfiles")
    parser.add_argument("--sources-path", default="", help="folder for this repository's runfiles")
    parser.add_argument(
        "--packages-path", default="", help="folder for other repositories' runfiles"
    )
    parser.add_argument(
        "--import-root",
        action="append",
        default=[],
        help="folder of runfiles that Python imports from",
    )
    parser.add_argument(
        "--module", action="append", default=[], help="module that `python -m` has to find there"
    )
    many("--part", ("PACKED", "CONTENTS"), "what is packed already: a wheel's entries")
    parser.add_argument("--origin", default="", help="what plain files are said to come from")
    return parser


def build(options: argparse.Namespace) -> Tree:
    """The tree that the arguments ask for, without what is packed; raises `LayerError`."""
    exclusions = Exclusions(options.exclude)
    tree = Tree()
    for file in options.deb:
        _install(tree, deb.read(file))
    for path, target in options.symlink:
        tree.add(path, Symlink(target, options.origin))
    for path in options.directory:
        tree.add(path, Directory(options.origin))
    for path, source in options.file:
        tree.add(path, File(Path(source), False, options.origin))
    _add_runfiles(tree, options)
    for module in options.module:
        runfiles.runnable(module, options.sources_path, tree.paths())
    for path, source in options.executable:
        tree.add(path, File(Path(source), True, options.origin))
    for path, glob in options.join:
        _join(tree, path, glob)
    for path in tree.paths():
        if path in exclusions:
            tree.remove(path)
    bytecode.add(tree, options.compile)
    return tree


def parts(options: argparse.Namespace) -> list[Part]:
    """What is packed already, by the names of wheels."""
    found = [part.read(Path(packed), Path(contents)) for packed, contents in options.part]
    return sorted(found, key=lambda each: each.origin)


def _add_runfiles(tree: Tree, options: argparse.Namespace) -> None:
    places = runfiles.Places(options.sources_path, options.packages_path, options.import_root)
    wheels = runfiles.Wheels(runfile for runfile, _ in options.runfile)
    for runfile, source in options.runfile:
        if path := places.of(runfile):
            origin = wheels.origin(runfile) or options.origin
            tree.add(path, File(Path(source), False, origin))


def _install(tree: Tree, package: deb.Deb) -> None:
    for path, entry in package.entries:
        # Folders come with what they hold; an empty one has to be asked for.
        if not isinstance(entry, Directory):
            tree.add(path, entry)
    # Scanners find the packages of an image without dpkg here, as in distroless.
    status = f"var/lib/dpkg/status.d/{package.name}"
    tree.add(status, File(package.control.encode(), False, package.name))
    if package.md5sums:
        tree.add(f"{status}.md5sums", File(package.md5sums.encode(), False, package.name))


def _join(tree: Tree, path: str, glob: str) -> None:
    parts = [(name, file) for name, file in tree.files() if fnmatch.fnmatchcase(f"/{name}", glob)]
    if not parts:
        raise LayerError(f"nothing to make {path} of: no file matches {glob}")
    content = b"".join(file.read().rstrip(b"\n") + b"\n" for _, file in parts)
    for name, _ in parts:
        tree.remove(name)
    made_of = tuple(f"/{name}" for name, _ in parts)
    tree.add(path, File(content, False, parts[0][1].origin, made_of))


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the layer, its descriptor and its contents."""
    options = _arguments().parse_args(arguments)
    try:
        descriptor, contents = tarball.write(build(options), options.layer, parts(options))
    except LayerError as error:
        print(f"{options.layer.name}: {error}", file=sys.stderr)
        return 1
    options.descriptor.write_text(json.dumps(descriptor._asdict()) + "\n")
    options.contents.write_text(part.lines(contents))
    return 0


if __name__ == "__main__":
    sys.exit(worker.main(main))
