"""What was made of a wheel before a layer is written: one file, for the layers of all services."""

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from rules.layers.elf import ElfError

_BYTE_CODE, _STRIPPED, _REFUSED = "byte-code/", "stripped/", "refused/"


class Prepared:
    """What was made of wheels, by the path that the original has in the image."""

    def __init__(self, files: Iterable[Path] = ()) -> None:
        self._places: dict[str, zipfile.ZipFile] = {}
        for file in files:
            archive = zipfile.ZipFile(file)
            self._places |= dict.fromkeys(archive.namelist(), archive)

    def byte_code(self, path: str) -> bytes | None:
        """The .pyc of a source; None where it has to be made."""
        return self._content(_BYTE_CODE + path)

    def stripped(self, path: str) -> bytes | None:
        """What an ELF file became; None where the file stays as it is.

        Raises `ElfError` for one that could not be stripped.
        """
        if (reason := self._content(_REFUSED + path)) is not None:
            raise ElfError(reason.decode())
        return self._content(_STRIPPED + path)

    def _content(self, name: str) -> bytes | None:
        archive = self._places.get(name)
        return None if archive is None else archive.read(name)


def write(
    file: Path,
    byte_code: Mapping[str, bytes],
    stripped: Mapping[str, bytes],
    refused: Mapping[str, str],
) -> None:
    """Writes what `Prepared` reads; `refused` has the reasons why files could not be stripped."""
    beside = Path(f"{file}.partial")
    reasons = {path: reason.encode() for path, reason in refused.items()}
    with zipfile.ZipFile(beside, "w") as archive:
        for prefix, contents in (
            (_BYTE_CODE, byte_code),
            (_STRIPPED, stripped),
            (_REFUSED, reasons),
        ):
            for path, content in sorted(contents.items()):
                # Without a time. Small is what the layer has to be, not this.
                archive.writestr(zipfile.ZipInfo(prefix + path), content)
    beside.rename(file)
