"""What differs between two layers: compression, order, headers, content."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rules.diff import cause, content, shown
from rules.diff.difference import Cause, Difference
from rules.diff.layer import BLOCK, Entry, Unpacked, same_content

# Files above this are compared, and shown as bytes only.
_LARGE = 128 << 20
# Of tar headers (POSIX.1-2024, pax, ustar interchange format): offset and name of each field.
_HEADER = (
    (0, "name"),
    (100, "mode"),
    (108, "uid"),
    (116, "gid"),
    (124, "size"),
    (136, "mtime"),
    (148, "checksum"),
    (156, "type"),
    (157, "link name"),
    (257, "magic"),
    (265, "user name"),
    (297, "group name"),
    (329, "device"),
    (345, "prefix"),
    (500, "padding"),
)


@dataclass(frozen=True)
class Place:
    """An entry and the layer it is in; `layer` is how a person would name that."""

    layer: str
    unpacked: Unpacked
    entry: Entry


def archives(where: tuple[str, ...], left: Unpacked, right: Unpacked) -> Iterator[Difference]:
    """What differs outside of the entries: compression, order, the archive's own form."""
    if left.compression != right.compression:
        yield Difference(
            "layer", where, "compression", left.compression, right.compression, cause.COMPRESSOR
        )
    both = left.header and right.header
    for each in content.gzip_findings(left.header, right.header) if both else ():
        yield Difference(
            "layer", (*where, *each.part), each.what, each.left, each.right, each.cause
        )
    if left.entries and right.entries:
        yield from _order(where, left.entries, right.entries)
        if not set(left.endings) & set(right.endings):
            what = "end of the archive"
            yield Difference("layer", where, what, left.endings[0], right.endings[0], cause.WRITER)


def _order(
    where: tuple[str, ...], left: Sequence[Entry], right: Sequence[Entry]
) -> Iterator[Difference]:
    common = {each.path for each in left} & {each.path for each in right}
    one = [each.path for each in left if each.path in common]
    other = [each.path for each in right if each.path in common]
    if one == other:
        return
    if sorted(one) != sorted(other):
        twice = next(each for each in common if one.count(each) != other.count(each))
        counts = [f"{side.count(twice)} times" for side in (one, other)]
        yield Difference("layer", (*where, twice), "entry", counts[0], counts[1])
        return
    at = shown.common_prefix(one, other)
    guess = cause.of_order(one, other)
    before = (f"  {one[at - 1]}",) if at else ()
    what = f"order of entries, from entry {at + 1}"
    yield Difference("layer", where, what, one[at], other[at], guess, before)


def paired(
    left: Sequence[Place], right: Sequence[Place]
) -> tuple[list[tuple[Place, Place]], list[Place], list[Place]]:
    """Pairs of one path, and what is on one side only; the last of several of a path counts."""
    one = {each.entry.path: each for each in left}
    other = {each.entry.path: each for each in right}
    return (
        [(place, other[path]) for path, place in one.items() if path in other],
        [place for path, place in one.items() if path not in other],
        [place for path, place in other.items() if path not in one],
    )


def compare(
    where: tuple[str, ...],
    pairs: Sequence[tuple[Place, Place]],
    deep: Callable[[str, bytes, bytes], Sequence[str]],
) -> Iterator[Difference]:
    """What differs between entries of one path: header fields, then content.

    `deep` shows more of the content of files that nothing here knows.
    """
    changed = {
        one.entry.path
        for one, other in pairs
        if one.entry.is_file
        and other.entry.is_file
        and not same_content(one.unpacked, one.entry, other.unpacked, other.entry)
    }
    for one, other in pairs:
        place = (*where, one.entry.path)
        yield from _fields(place, one, other)
        if one.entry.path in changed:
            yield from _content(place, one, other, changed, deep)


def _fields(where: tuple[str, ...], one: Place, other: Place) -> Iterator[Difference]:
    left, right = one.entry.fields, other.entry.fields
    if one.layer != other.layer:
        yield Difference("entry", where, "layer", one.layer, other.layer)
    same_type = left["type"] == right["type"]
    for name in dict.fromkeys([*left, *right]):
        first, second = left.get(name, ""), right.get(name, "")
        # The content says more than its size does; another type has everything else other too.
        if first == second or name == "size" or not (same_type or name == "type"):
            continue
        guess = _field_cause(name, one.entry, other.entry, left, right)
        yield Difference("entry", where, name, first or "(none)", second or "(none)", guess)


def _field_cause(
    name: str, one: Entry, other: Entry, left: Mapping[str, str], right: Mapping[str, str]
) -> Cause | None:
    if name == "mode":
        return cause.of_modes(one.mode, other.mode)
    if name == "link":
        return cause.of_text(left[name], right[name])
    if name in {"pax header atime", "pax header ctime"}:
        return cause.CLOCK
    return {
        "time": cause.CLOCK,
        "owner": cause.OWNER,
        "owner's name": cause.OWNER,
        "header format": cause.WRITER,
    }.get(name)


def _content(
    where: tuple[str, ...],
    one: Place,
    other: Place,
    changed: set[str],
    deep: Callable[[str, bytes, bytes], Sequence[str]],
) -> Iterator[Difference]:
    path = one.entry.path
    if max(one.entry.size, other.entry.size) > _LARGE:
        sizes = [f"{each.entry.size} bytes" for each in (one, other)]
        yield Difference("content", where, "content, too large to show", sizes[0], sizes[1])
        return
    left = one.unpacked.content(one.entry)
    right = other.unpacked.content(other.entry)
    from_source = path.endswith(".pyc") and changed & set(content.same_source(path))
    lists_hashes = path.endswith((".dist-info/RECORD", ".md5sums"))
    for number, each in enumerate(content.findings(path, left, right)):
        guess = each.cause
        if from_source or (lists_hashes and guess is None):
            guess = cause.CONSEQUENCE
        more = tuple(deep(path, left, right)) if number == 0 and guess is None else ()
        yield Difference(
            "content",
            (*where, *each.part),
            each.what,
            each.left,
            each.right,
            guess,
            (*each.context, *more),
        )


def raw(where: tuple[str, ...], left: Unpacked, right: Unpacked) -> Difference:
    """The first byte that differs of two archives whose entries say the same."""
    at, size = 0, 1 << 20
    while (one := left.read(at, size)) == (other := right.read(at, size)) and one:
        at += size
    at += shown.common_prefix(one, other)
    what = f"byte {at} of the archive"
    for entry in left.entries or ():
        if entry.header <= at < entry.data:
            offset = (at - entry.header) % BLOCK
            field = [name for start, name in _HEADER if start <= offset][-1]
            what = f"header of {entry.path}, {field}"
        elif entry.data <= at < entry.data + -(-entry.size // BLOCK) * BLOCK:
            what = f"padding after {entry.path}"
    one, other = left.read(at, 16), right.read(at, 16)
    return Difference(
        "layer",
        where,
        what,
        shown.hexadecimal(one, 0),
        shown.hexadecimal(other, 0),
        cause.WRITER,
    )
