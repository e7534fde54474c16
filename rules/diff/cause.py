"""Guesses at why two builds differ, from what differs.

The patterns are those of https://reproducible-builds.org/docs: each has a name, a meaning and a
remedy. A guess is made only where taking the pattern away makes both sides equal.
"""

import os
import re
from collections.abc import Sequence

from rules.diff import shown
from rules.diff.difference import Cause

CLOCK = Cause(
    "clock",
    "a time was taken from the clock or from the files of the checkout",
    "write a fixed time (0, or SOURCE_DATE_EPOCH) in its place",
)
PATH = Cause(
    "path",
    "a folder of the machine that built it was written down",
    "write paths relative to the checkout, or map the prefix (-ffile-prefix-map, co_filename)",
)
ORDER = Cause(
    "order",
    "the same things come in another order: a folder's entries or a set were not sorted",
    "sort before writing",
)
HASH_SEED = Cause(
    "hash seed",
    "a Python set was written in the order of its hashes, which change with PYTHONHASHSEED",
    "sort the set before writing, or marshal by value",
)
SHARING = Cause(
    "marshal sharing",
    "CPython shared equal constants differently: that depends on what else the process imported",
    "marshal code objects by value, in a process of their own",
)
COMPRESSOR = Cause(
    "compressor",
    "the same bytes were compressed by another program, version or level",
    "compress with a locked library at a fixed level",
)
OWNER = Cause(
    "owner",
    "the user or group that built it was kept",
    "write 0:0 and no names",
)
UMASK = Cause(
    "umask",
    "the modes differ by what a file creation mask takes away",
    "write fixed modes, 0755 or 0644",
)
LOCALE = Cause(
    "locale",
    "sorting, numbers or letters follow the language settings of the machine",
    "build with LC_ALL=C.UTF-8, and sort by bytes",
)
RANDOM = Cause(
    "random",
    "a random identifier was written",
    "derive it from the content, or leave it out",
)
ADDRESS = Cause(
    "address",
    "an address in memory was written, as Python's default repr() does",
    "write the object's value in place of its repr()",
)
HOST = Cause(
    "host name",
    "the name of the machine or of its user was written",
    "leave it out",
)
KERNEL = Cause(
    "kernel",
    "the version of the kernel that it was built on was written",
    "leave it out",
)
LINE_ENDS = Cause(
    "line ends",
    "lines end in CRLF on one side: a checkout with core.autocrlf, or a tool of another system",
    "set `* text=auto eol=lf` in .gitattributes",
)
WRITER = Cause(
    "writer",
    "the same values were written by another program or version",
    "compare the versions of the tools that wrote it",
)
VERSION = Cause(
    "version",
    "another version of a compiler, package or library was used",
    "lock it, and compare the locks of the two builds",
)
CONSEQUENCE = Cause(
    "consequence",
    "this follows from another difference",
    "look at that one first",
)

_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:?\d\d(?::?\d\d(?:\.\d+)?)?)?(?:Z|[+-]\d\d:?\d\d)?"
    rf"|(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? +)?{_MONTH} +\d{{1,2}},? +"
    r"(?:\d\d:\d\d:\d\d +)?(?:[A-Z]{2,5} +)?\d{4}"
    rf"|(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? +)?\d{{1,2}} {_MONTH} \d{{4}}"
    r"(?: \d\d:\d\d:\d\d)?(?: ?(?:UTC|GMT|[+-]\d{4}))?"
    r"|\b\d\d:\d\d:\d\d(?:\.\d+)?\b"
    # Seconds or milliseconds since 1970, of the years 1980 to 2100.
    r"|\b(?:3[2-9]\d{7}|[4-9]\d{8}|[1-3]\d{9})(?:\d{3}|\.\d+)?\b"
    r"|\b20\d{6}(?:T?\d{4,6}Z?)?\b"
)
_PATH = re.compile(r"(?<![\w:/])(?:file://)?(?:/[\w.+@~%:=,-]+){2,}/?")
# A folder's name may have spaces in it; where the path ends is then seen from the line's end alone.
_SPACED_PATH = re.compile(r"(?<![\w:/])(?:/[^/\n\0\"'<>|:]+){2,}/?")
_YEAR = re.compile(r"\b(?:19[7-9]|20[0-9])\d\b")
_UUID = re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b")
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,16}\b")
_DIGEST = re.compile(
    r"\b(?:sha\d+[:=-])?(?:[0-9a-fA-F]{32,128}|[A-Za-z0-9_-]{43}=?)(?![A-Za-z0-9_-])"
)
_USER_AT_HOST = re.compile(r"\b[\w.+-]+@[\w.-]+")
_RELEASE = re.compile(r"\b\d+\.\d+\.\d+[\w.+~-]*")
_NUMBER_SIGN = re.compile(r"(?<=\d)[.,'\u00a0\u202f](?=\d)")
_WORD = re.compile(r"\w+|[^\w\s]")
_SET = re.compile(r"\{[^{}:]*\}|frozenset\(")
_PATTERNS = (
    (_TIME, CLOCK),
    (_PATH, PATH),
    (_ADDRESS, ADDRESS),
    (_UUID, RANDOM),
    (_USER_AT_HOST, HOST),
    (_DIGEST, CONSEQUENCE),
    (_NUMBER_SIGN, LOCALE),
)


def of_text(left: str, right: str) -> Cause | None:
    """The pattern whose removal makes two different texts equal; None where there is none."""
    left, right = _changed(left, right)
    if left.replace("\r\n", "\n") == right.replace("\r\n", "\n"):
        return LINE_ENDS
    patterns = _patterns(left, right)
    for pattern, cause in patterns:
        if pattern.sub("\0", left) == pattern.sub("\0", right):
            return cause
    # A path may hold a time, a record both.
    for first, _ in patterns:
        for second, cause in patterns:
            if second.sub("\1", first.sub("\0", left)) == second.sub("\1", first.sub("\0", right)):
                return cause
    if _PATH.findall(left) != _PATH.findall(right) and (
        _SPACED_PATH.sub("\0", left) == _SPACED_PATH.sub("\0", right)
    ):
        return PATH
    if _YEAR.sub("\0", left) == _YEAR.sub("\0", right):
        return CLOCK
    if sorted(left.splitlines()) == sorted(right.splitlines()):
        return of_order(left.splitlines(), right.splitlines())
    words, others = _WORD.findall(left), _WORD.findall(right)
    if words != others and sorted(words) == sorted(others):
        return HASH_SEED if _SET.search(left) and _SET.search(right) else ORDER
    if _reencoded(left, right) or _reencoded(right, left):
        return LOCALE
    return None


def _patterns(left: str, right: str) -> Sequence[tuple[re.Pattern[str], Cause]]:
    # Any version looks like a kernel's: only this machine's own is known to be one.
    release = os.uname().release
    has_release = release in left or release in right
    return ((_RELEASE, KERNEL), *_PATTERNS) if has_release else _PATTERNS


def of_order(left: Sequence[str], right: Sequence[str]) -> Cause:
    """Why the same names come in another order: sorted by two locales, or not sorted at all."""

    def by_bytes(names: Sequence[str]) -> bool:
        return list(names) == sorted(names)

    def by_letters(names: Sequence[str]) -> bool:
        # As glibc's locales sort: letters first, case and punctuation only where those are equal.
        keys = [re.sub(r"[\W_]+", "", name).casefold() for name in names]
        return keys == sorted(keys)

    if (by_bytes(left) and by_letters(right)) or (by_letters(left) and by_bytes(right)):
        return LOCALE
    return ORDER


def of_modes(left: int, right: int) -> Cause | None:
    """The mask, where that is what makes two modes differ: one is the other less some of 077."""
    changed = left ^ right
    if changed & ~0o077:
        return None
    return UMASK if left & right in {left, right} else None


def _changed(left: str, right: str) -> tuple[str, str]:
    """The lines from the first that differs to the last one."""
    one, other = left.splitlines(keepends=True), right.splitlines(keepends=True)
    start = shown.common_prefix(one, other)
    one, other = one[start:], other[start:]
    end = shown.common_prefix(one[::-1], other[::-1])
    return "".join(one[: len(one) - end]), "".join(other[: len(other) - end])


def _reencoded(plain: str, lossy: str) -> bool:
    """Whether one text is the other after a detour through an encoding without its letters."""
    if plain.isascii():
        return False
    return lossy in {
        plain.encode("ascii", how).decode("ascii")
        for how in ("replace", "ignore", "backslashreplace", "xmlcharrefreplace")
    }
