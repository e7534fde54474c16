"""What of an ELF file a process sees, to tell whether another file is the same to it.

System V ABI, chapters 4 and 5: the loader maps segments; section headers and what lies in no
segment are for linkers and debuggers.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_MAGIC = b"\x7fELF"
_HEADER = 64
_SEGMENT = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_CLASS_64, _LITTLE_ENDIAN = 2, 1
_EXECUTABLE, _SHARED = 2, 3
_LOAD, _PROGRAM_HEADERS = 1, 6
_ALLOCATED = 2
_SYMBOLS, _NO_BITS = 2, 8
# DWARF, compressed and not; what compilers say of their options; their intermediate code.
FOR_DEBUGGERS = (".debug", ".zdebug", ".gnu.build.attributes", ".gnu.lto")
# By the name that OCI and Debian give the CPU.
_MACHINES = {"amd64": 62, "arm64": 183}


class ElfError(ValueError):
    """The file is not as expected; the text says what was expected and what came."""


class _Segment(NamedTuple):
    kind: int
    flags: int
    offset: int
    address: int
    file_size: int
    memory_size: int
    align: int


class _Section(NamedTuple):
    name: str
    kind: int
    flags: int
    offset: int
    size: int


class _File(NamedTuple):
    content: bytes
    kind: int
    entry: int
    segments: Sequence[_Segment]
    sections: Sequence[_Section]
    headers: tuple[int, int]

    def loaded(self, address: int, size: int) -> bytes:
        """What lies in memory at an address, headers blanked: a tool may write those anew."""
        for segment in self.segments:
            start = address - segment.address
            if segment.kind == _LOAD and start >= 0 and start + size <= segment.file_size:
                found = bytearray(self.content[segment.offset + start :][:size])
                for begin, end in ((0, _HEADER), self.headers):
                    low = max(begin - segment.offset - start, 0)
                    high = min(end - segment.offset - start, size)
                    if low < high:
                        found[low:high] = bytes(high - low)
                return bytes(found)
        raise ElfError(f"{size} bytes at {address:#x} are in no segment any more")


def is_elf(content: bytes) -> bool:
    """Whether the file starts as one does."""
    return content.startswith(_MAGIC)


def is_linked(content: bytes, architecture: str) -> bool:
    """Whether the file, one that starts as ELF does, is a program or a shared library.

    What a linker has still to link has no segments, and needs its symbols. `architecture` is the
    CPU that it has to be for, amd64 or arm64. Raises `ElfError`.
    """
    if content[4:6] != bytes((_CLASS_64, _LITTLE_ENDIAN)):
        raise ElfError(
            f"it starts as an ELF file does; expected one of 64 bits, least significant byte "
            f"first, got class and byte order {content[4:6]!r}"
        )
    if len(content) < _HEADER:
        raise ElfError(f"it is a torn ELF file: the header has 64 bytes, the file {len(content)}")
    kind, machine = struct.unpack_from("<HH", content, 16)
    if machine != _MACHINES[architecture]:
        known = {number: name for name, number in _MACHINES.items()}
        raise ElfError(
            f"expected an ELF file for {architecture}, got one for "
            f"{known.get(machine, f'machine {machine}')}"
        )
    if kind not in (_EXECUTABLE, _SHARED):
        return False
    _read(content)
    return True


def compare(before: bytes, after: bytes) -> None:
    """Raises `ElfError` unless a process sees the same in both: segments, and what they hold.

    Symbols for the dynamic loader, notes (the build id) and unwind tables lie in segments.
    """
    left, right = _read(before), _read(after)
    if (left.kind, left.entry) != (right.kind, right.entry):
        raise ElfError("type or entry point became others")
    if _outline(left) != _outline(right):
        raise ElfError("its segments became others")
    for segment in left.segments:
        if segment.kind != _LOAD or not segment.file_size:
            continue
        where = (segment.address, segment.file_size)
        if left.loaded(*where) != right.loaded(*where):
            raise ElfError(f"what is loaded at {segment.address:#x} became something else")
    for segment in right.segments:
        # Or the loader cannot map it (elf(5), p_align).
        if segment.kind == _LOAD and (segment.offset - segment.address) % (segment.align or 1):
            raise ElfError(f"its segment at {segment.address:#x} became misaligned")


def for_debuggers(content: bytes) -> list[str]:
    """The names of sections that hold symbols for linkers, and what debuggers and checkers read.

    No process sees them. Others that none sees stay: a scanner may read `.dep-v0`, for one.
    """
    return [
        section.name
        for section in _read(content).sections
        if not section.flags & _ALLOCATED
        and (section.kind == _SYMBOLS or section.name.startswith(FOR_DEBUGGERS))
    ]


def _outline(file: _File) -> list[tuple[int, ...]]:
    return [
        (each.kind, each.flags, each.address, each.file_size, each.memory_size)
        for each in file.segments
        # Where the table itself lies is the tool's affair.
        if each.kind != _PROGRAM_HEADERS
    ]


def _read(content: bytes) -> _File:
    try:
        return _parsed(content)
    except (struct.error, IndexError) as error:
        raise ElfError(f"it is a torn ELF file: {error}") from error


def _parsed(content: bytes) -> _File:
    kind, _, _, entry, segments_at, sections_at = struct.unpack_from("<HHIQQQ", content, 16)
    segment_size, segments, section_size, sections, names = struct.unpack_from(
        "<HHHHH", content, 54
    )
    found = _File(
        content,
        kind,
        entry,
        [
            _Segment(kind_, flags, offset, address, size, memory, align)
            for kind_, flags, offset, address, _, size, memory, align in (
                _SEGMENT.unpack_from(content, segments_at + segment_size * each)
                for each in range(segments)
            )
        ],
        list(_sections(content, sections_at, section_size, sections, names)),
        (segments_at, segments_at + segment_size * segments),
    )
    end = max(
        (
            *(each.offset + each.file_size for each in found.segments),
            *(each.offset + each.size for each in found.sections if each.kind != _NO_BITS),
        ),
        default=0,
    )
    if end > len(content):
        raise ElfError(
            f"it is a torn ELF file: a part of it ends at {end}, the file at {len(content)}"
        )
    return found


def _sections(content: bytes, at: int, size: int, count: int, names: int) -> Iterator[_Section]:
    headers = [_SECTION.unpack_from(content, at + size * each) for each in range(count)]
    if not headers:
        return
    strings = content[headers[names][4] :][: headers[names][5]]
    for name, kind, flags, _, offset, length, *_ in headers:
        text = strings[name:].partition(b"\0")[0].decode("latin-1")
        yield _Section(text, kind, flags, offset, length)
