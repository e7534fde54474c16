"""Compiles Python sources to unchecked hash-based .pyc files (PEP 552).

They carry no time, and the interpreter takes them without looking at the source again, which is
right in an image: nobody edits it.
"""

import importlib.util
import multiprocessing
import os
import posixpath
import struct
import sys
import warnings
from collections.abc import Iterable

from rules.layers import canonical
from rules.layers.tree import File, LayerError, Tree

_UNCHECKED_HASH = struct.pack("<I", 0b01)


def compiled(path: str, source: bytes) -> bytes:
    """The .pyc of a source that will lie at a path (relative to the root) of the image.

    Raises `SyntaxError`, or `ValueError` for null bytes.
    """
    with warnings.catch_warnings():
        # A wheel's invalid escape is its authors' to mend, not news for each build.
        warnings.simplefilter("ignore")
        code = compile(source, f"/{path}", "exec", dont_inherit=True, optimize=0)
    header = importlib.util.MAGIC_NUMBER + _UNCHECKED_HASH + importlib.util.source_hash(source)
    return header + canonical.dumps(code)


def cached(path: str) -> str:
    """The path of the .pyc for a source's path (PEP 3147)."""
    folder, name = posixpath.split(path)
    tag = sys.implementation.cache_tag
    return f"{folder}/__pycache__/{name.removesuffix('.py')}.{tag}.pyc"


def add(tree: Tree, prefixes: Iterable[str]) -> None:
    """Adds the .pyc of every source below the prefixes (relative to the root) to a tree.

    Raises `LayerError` naming the source that does not compile.
    """
    starts = tuple(f"{prefix.strip('/')}/" for prefix in prefixes)
    sources = [
        (path, file)
        for path, file in tree.files()
        if path.startswith(starts) and path.endswith(".py")
    ]
    work = [(path, file.read(), file.origin) for path, file in sources]
    for (path, file), result in zip(sources, _map(work), strict=True):
        if isinstance(result, str):
            raise LayerError(f"/{path} from {file.origin} does not compile: {result}")
        tree.add(cached(path), File(result, False, file.origin, (f"/{path}",)))


def _map(work: list[tuple[str, bytes, str]]) -> list[bytes | str]:
    processes = min(os.process_cpu_count() or 1, len(work) // 100)
    if processes < 2:
        return [_one(item) for item in work]
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        return pool.map(_one, work, chunksize=20)


def _one(item: tuple[str, bytes, str]) -> bytes | str:
    path, source, _ = item
    try:
        return compiled(path, source)
    except (SyntaxError, ValueError) as error:
        return str(error)
