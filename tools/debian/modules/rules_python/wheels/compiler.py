"""Compiles a wheel's modules to unchecked hash-based .pyc files (PEP 552), for tests and tools.

Nobody edits a locked wheel, and without byte-code every test process would compile what it imports.
"""

import importlib.util
import marshal
import struct
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path

_UNCHECKED_HASH = struct.pack("<I", 0b01)
_FOLDER = "--folder"


def compiled(name: str, source: bytes) -> bytes:
    """The .pyc of a source; Python puts the module's place in for the name when it loads it.

    Raises `SyntaxError`, or `ValueError` for null bytes.
    """
    with warnings.catch_warnings():
        # A wheel's invalid escape is its authors' to mend.
        warnings.simplefilter("ignore")
        code = compile(source, name, "exec", dont_inherit=True)
    header = importlib.util.MAGIC_NUMBER + _UNCHECKED_HASH + importlib.util.source_hash(source)
    return header + marshal.dumps(code)


def write(lines: Iterable[str]) -> None:
    """Does what the lines ask for: `--folder`, a folder for byte-code, then the sources for it.

    What does not compile (templates, sources for another Python) is left to whoever imports it.
    """
    folder = Path()
    words = iter(lines)
    for word in words:
        if word == _FOLDER:
            folder = Path(next(words))
            folder.mkdir(parents=True, exist_ok=True)
            continue
        source = Path(word)
        try:
            content = compiled(source.name, source.read_bytes())
        except (SyntaxError, ValueError):
            continue
        name = f"{source.stem}.{sys.implementation.cache_tag}.pyc"
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    write(Path(sys.argv[1].removeprefix("@")).read_text().splitlines())
