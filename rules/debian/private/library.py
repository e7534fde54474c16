"""Packs the standard library into the zip archive that Python looks for beside it.

A sandbox then lays out one file for a program instead of a thousand, and nothing is compiled at
start. The sources are kept in the archive, for tracebacks.
"""

import importlib.util
import marshal
import struct
import sys
import zipfile
from pathlib import Path

_UNCHECKED_HASH = struct.pack("<I", 0b01)
# The earliest time that a zip archive can say.
_TIME = (1980, 1, 1, 0, 0, 0)
# By this file the interpreter knows its library's folder (Modules/getpath.py of CPython).
_LANDMARK = "os.py"


def pack(library: Path, archive: Path) -> None:
    """Moves the sources of a library, and their byte-code, into an archive; other files stay."""
    with zipfile.ZipFile(archive, "w") as target:
        sources = sorted(library.rglob("*.py"))
        for source in sources:
            name = source.relative_to(library).as_posix()
            text = source.read_bytes()
            # A traceback names the archive, not the folder that this machine has it in.
            code = compile(text, f"{archive.name}/{name}", "exec", dont_inherit=True)
            header = importlib.util.MAGIC_NUMBER + _UNCHECKED_HASH
            compiled = header + importlib.util.source_hash(text) + marshal.dumps(code)
            target.writestr(zipfile.ZipInfo(f"{name}c", _TIME), compiled)
            target.writestr(zipfile.ZipInfo(name, _TIME), text)
    for source in sources:
        if source.name != _LANDMARK:
            source.unlink()


if __name__ == "__main__":
    pack(Path(sys.argv[1]), Path(sys.argv[2]))
