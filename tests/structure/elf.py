"""What the dynamic loader reads of an ELF file (System V gABI, chapters 4 and 5; glibc's elf.h)."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

MACHINES = {62: "amd64", 183: "arm64"}

_MAGIC = b"\x7fELF"
_CLASS64 = 2
_LITTLE = 1
_EXEC, _DYN = 2, 3
_SHT_SYMTAB = 2
_DEBUG = (".debug", ".zdebug", ".symtab")
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NEEDED, _DT_STRTAB, _DT_SONAME, _DT_RPATH, _DT_RUNPATH = 1, 5, 14, 15, 29
_DT_VERDEF, _DT_VERDEFNUM, _DT_VERNEED, _DT_VERNEEDNUM = (
    0x6FFFFFFC,
    0x6FFFFFFD,
    0x6FFFFFFE,
    0x6FFFFFFF,
)
_DT_FLAGS_1 = 0x6FFFFFFB
_DF_1_PIE = 0x08000000


class ElfError(ValueError):
    """The file begins like an ELF file and is none that a 64-bit Linux loads."""


@dataclass(frozen=True)
class Elf:
    """One file's needs and gifts.

    `versions` are the symbol versions wanted of each needed library, `defines` those offered.
    """

    machine: str
    program: bool
    interpreter: str | None = None
    soname: str | None = None
    needed: Sequence[str] = ()
    rpath: Sequence[str] = ()
    runpath: Sequence[str] = ()
    versions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    defines: Sequence[str] = ()


def is_elf(content: bytes) -> bool:
    """Whether a file's content says that it is an ELF file."""
    return content.startswith(_MAGIC)


def symbol_tables(content: bytes) -> list[str]:
    """The names of sections that hold symbols for linkers, or debug information.

    Raises `ElfError` where the file is damaged.
    """
    try:
        offset = struct.unpack_from("<Q", content, 40)[0]
        size, count, names = struct.unpack_from("<HHH", content, 58)
        headers = [
            struct.unpack_from("<IIQQQQ", content, offset + number * size)
            for number in range(count)
        ]
        start = headers[names][4] if headers else 0
    except (struct.error, IndexError) as error:
        raise ElfError(f"damaged ELF file: {error}") from error
    found = [
        (kind, content[start + name : content.index(b"\0", start + name)].decode())
        for name, kind, *_ in headers
    ]
    return [name for kind, name in found if kind == _SHT_SYMTAB or name.startswith(_DEBUG)]


def read(content: bytes) -> Elf:
    """Reads an ELF file; raises `ElfError` where it is damaged or not for 64-bit Linux."""
    try:
        return _read(content)
    except (struct.error, IndexError, ValueError) as error:
        raise ElfError(f"damaged ELF file: {error}") from error


def _read(content: bytes) -> Elf:
    if content[4:6] != bytes([_CLASS64, _LITTLE]):
        raise ElfError(f"expected 64 bits, least significant byte first; got {content[4:6]!r}")
    kind, machine = struct.unpack_from("<HH", content, 16)
    offset, size, count = (
        struct.unpack_from("<Q", content, 32)[0],
        *struct.unpack_from("<HH", content, 54),
    )
    segments = [
        struct.unpack_from("<IIQQQQQQ", content, offset + number * size) for number in range(count)
    ]
    image = _Image(content, [s for s in segments if s[0] == _PT_LOAD])
    interpreter = next(
        (
            content[s[2] : s[2] + s[5]].rstrip(b"\0").decode()
            for s in segments
            if s[0] == _PT_INTERP
        ),
        None,
    )
    dynamic = next((s for s in segments if s[0] == _PT_DYNAMIC), None)
    name = MACHINES.get(machine, f"ELF machine {machine}")
    if dynamic is None:
        return Elf(name, kind == _EXEC, interpreter)
    tags: dict[int, list[int]] = {}
    for tag, value in struct.iter_unpack("<qQ", content[dynamic[2] : dynamic[2] + dynamic[5]]):
        if tag == 0:
            break
        tags.setdefault(tag, []).append(value)
    strings = tags.get(_DT_STRTAB, [0])[0]

    def texts(tag: int) -> list[str]:
        return [image.text(strings + value) for value in tags.get(tag, [])]

    def paths(tag: int) -> list[str]:
        return [path for text in texts(tag) for path in text.split(":") if path]

    flags = tags.get(_DT_FLAGS_1, [0])[0]
    return Elf(
        machine=name,
        program=kind == _EXEC or (kind == _DYN and bool(flags & _DF_1_PIE)),
        interpreter=interpreter,
        soname=next(iter(texts(_DT_SONAME)), None),
        needed=texts(_DT_NEEDED),
        rpath=paths(_DT_RPATH),
        runpath=paths(_DT_RUNPATH),
        versions=dict(
            image.needed_versions(
                tags.get(_DT_VERNEED, [0])[0], tags.get(_DT_VERNEEDNUM, [0])[0], strings
            )
        ),
        defines=list(
            image.defined_versions(
                tags.get(_DT_VERDEF, [0])[0], tags.get(_DT_VERDEFNUM, [0])[0], strings
            )
        ),
    )


class _Image:
    """The file seen through its loaded segments: by address."""

    def __init__(self, content: bytes, loads: Sequence[Sequence[int]]) -> None:
        self._content = content
        self._loads = loads

    def offset(self, address: int) -> int:
        for _, _, offset, virtual, _, size, _, _ in self._loads:
            if virtual <= address < virtual + size:
                return offset + address - virtual
        raise ElfError(f"address {address:#x} is in no segment")

    def text(self, address: int) -> str:
        start = self.offset(address)
        return self._content[start : self._content.index(b"\0", start)].decode()

    def needed_versions(
        self, address: int, count: int, strings: int
    ) -> Iterator[tuple[str, list[str]]]:
        for _ in range(count):
            at = self.offset(address)
            _, number, file, first, following = struct.unpack_from("<HHIII", self._content, at)
            names = []
            at += first
            for _ in range(number):
                _, flags, _, name, step = struct.unpack_from("<IHHII", self._content, at)
                if not flags & 2:  # VER_FLG_WEAK: the loader does without
                    names.append(self.text(strings + name))
                at += step
            yield self.text(strings + file), names
            address += following

    def defined_versions(self, address: int, count: int, strings: int) -> Iterator[str]:
        for _ in range(count):
            at = self.offset(address)
            _, _, _, _, _, first, following = struct.unpack_from("<HHHHIII", self._content, at)
            yield self.text(strings + struct.unpack_from("<I", self._content, at + first)[0])
            address += following
