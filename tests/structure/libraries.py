"""Whether ELF files find what they need, by the dynamic loader's own rules (ld.so(8))."""

import posixpath
from collections.abc import Iterator, Mapping, Sequence

from tests.oci.filesystem import FILE, Filesystem
from tests.structure import elf
from tests.structure.elf import Elf, ElfError

_TRIPLETS = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
_VDSO = {"linux-vdso.so.1", "linux-gate.so.1"}


def problems(
    files: Filesystem, architecture: str, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Says of every ELF file what it lacks: interpreter, library, or version of a symbol.

    `environment` is the container's; LD_LIBRARY_PATH counts.
    """
    extra = [path for path in (environment or {}).get("LD_LIBRARY_PATH", "").split(":") if path]
    read: dict[str, Elf] = {}
    for entry in files:
        if entry.kind != FILE or not elf.is_elf(entry.content):
            continue
        try:
            read[entry.path] = elf.read(entry.content)
        except ElfError as error:
            yield f"{entry.path}: {error}"
    for path, found in read.items():
        if found.machine != architecture:
            yield f"{path}: is for {found.machine}; expected {architecture}"
            continue
        if found.interpreter and files.resolve(found.interpreter) is None:
            yield f"{path}: its interpreter {found.interpreter} is not in the image"
        folders = _folders(path, found, architecture, extra)
        for needed in found.needed:
            if needed in _VDSO:
                continue
            library = _find(files, needed, folders)
            if library is None:
                yield f"{path}: needs {needed}, which is in none of {', '.join(folders)}"
            elif library not in read:
                yield f"{path}: needs {needed}, and {library} is no ELF file"
            else:
                wanted = set(found.versions.get(needed, ()))
                for version in sorted(wanted - set(read[library].defines)):
                    yield f"{path}: needs {version} of {needed}, which {library} does not define"


def _folders(path: str, found: Elf, architecture: str, extra: Sequence[str]) -> list[str]:
    triplet = _TRIPLETS[architecture]
    origin = posixpath.dirname(path)
    own = [
        posixpath.normpath(entry.replace("${ORIGIN}", origin).replace("$ORIGIN", origin))
        for entry in [*([] if found.runpath else found.rpath), *extra, *found.runpath]
    ]
    return [*own, f"/lib/{triplet}", f"/usr/lib/{triplet}", "/lib", "/usr/lib"]


def _find(files: Filesystem, name: str, folders: Sequence[str]) -> str | None:
    candidates = [name] if "/" in name else [posixpath.join(folder, name) for folder in folders]
    for candidate in candidates:
        entry = files.resolve(candidate)
        if entry is not None and entry.kind == FILE:
            return entry.path
    return None
