"""Moves the files of unpacked packages into a builder root in which Bazel may be running."""

from collections.abc import Collection
from pathlib import Path

from tools.debian.builder.error import BuilderError


def merge(source: Path, root: Path, folders: Collection[str], without: Collection[str]) -> None:
    """Moves what is below some folders of a tree to the same paths of a root, file by file.

    Each file is there as a whole or not at all. What an interrupted call has moved is replaced, so
    that the same tree can be merged once more.

    Args:
        source: the tree, on the root's file system; what is moved is gone from it.
        root: where it goes.
        folders: of the tree's top, those to move; one that is missing is passed over.
        without: paths, relative to the tree, of files and folders that stay where they are.

    Raises:
        BuilderError: a link of the root leads out of it.
    """
    for folder in folders:
        if (source / folder).is_dir() and not (source / folder).is_symlink():
            _merge(source, root, Path(folder), without)


def _merge(source: Path, root: Path, folder: Path, without: Collection[str]) -> None:
    target = root / folder
    if not target.resolve().is_relative_to(root.resolve()):
        raise BuilderError(f"{target} leads out of the builder root, to {target.resolve()}")
    for path in sorted((source / folder).iterdir()):
        inner = folder / path.name
        place = root / inner
        if inner.as_posix() in without:
            continue
        if path.is_dir() and not path.is_symlink() and place.is_dir():
            _merge(source, root, inner, without)
        else:
            path.replace(place)
