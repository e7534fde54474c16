"""Compiles Python sources to unchecked hash-based .pyc files (PEP 552).

They carry no time, and the interpreter takes them without looking at the source again, which is
right in an image: nobody edits it.
"""

import importlib.util
import os
import posixpath
import struct
import sys
import warnings
from collections.abc import Iterable, Sequence

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


def compiled_all(sources: Sequence[tuple[str, bytes]]) -> list[bytes | str]:
    """What `compiled` gives for each path and source; where it raises, the reason."""
    processes = min(os.process_cpu_count() or 1, len(sources) // 100)
    if processes < 2:
        return [_one(source) for source in sources]
    # It takes a third of the time that it takes to start; few wheels have so many sources.
    import multiprocessing  # noqa: PLC0415

    with multiprocessing.get_context("fork").Pool(processes) as pool:
        return pool.map(_one, sources, chunksize=20)


def _one(source: tuple[str, bytes]) -> bytes | str:
    try:
        return compiled(*source)
    except (SyntaxError, ValueError) as error:
        return str(error)


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
    results = compiled_all([(path, file.read()) for path, file in sources])
    for (path, file), result in zip(sources, results, strict=True):
        if isinstance(result, str):
            raise LayerError(f"/{path} from {file.origin} does not compile: {result}")
        tree.add(cached(path), File(result, False, file.origin, (f"/{path}",)))
