"""The rows of the comparison: what is measured, in what unit, by which commands."""

from dataclasses import dataclass

_BUILD = "`bazel build --disk_cache= //image`"
_ENGINE = "`build --layers --timestamp=0`"
# Towards a registry, an engine compresses a layer that is new alone; into a layout, all of them.
_ENGINE_ALONE = f"{_ENGINE}; nothing is compressed yet"
_PUSH = "`push oci:LAYOUT`"
_LOADED = "`wrk -t1 -c10`, servers of both images from unpacked roots, one PostgreSQL 17"


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        key: in the file of figures.
        group: what `--only` calls it.
        name: what the table calls it.
        unit: of its figures; "" for numbers of things.
        ours: how Bazel's figure is taken.
        theirs: how the engines' is.
        more: whether more is better.
        exact: whether the figure is the same each time, so that no quartiles are told.
    """

    key: str
    group: str
    name: str
    unit: str
    ours: str
    theirs: str
    more: bool = False
    exact: bool = False


_UNPACKED = "counted in the unpacked image"

ROWS = (
    Row(
        "size",
        "size",
        "image, compressed",
        "MB",
        "sum of the layout's blobs",
        "the same",
        exact=True,
    ),
    Row(
        "packages",
        "size",
        "Debian packages and Python distributions",
        "",
        _UNPACKED,
        "the same",
        exact=True,
    ),
    Row("files", "size", "files", "", _UNPACKED, "the same", exact=True),
    Row(
        "clean",
        "clean",
        "clean build, from cached downloads",
        "s",
        f"`bazel clean`; timed: {_BUILD}",
        f"`build --no-cache --layers=false --timestamp=0`, then {_PUSH}",
    ),
    Row(
        "clean cpu",
        "clean",
        "processor time of it",
        "s",
        "of the Bazel server, its workers and all that they have waited for, from /proc/PID/stat",
        "of the commands, from getrusage(2)",
    ),
    Row("digests", "clean", "digests of clean builds", "", "of the clean builds", "the same"),
    Row("unchanged", "unchanged", "nothing changed", "s", _BUILD, _ENGINE_ALONE),
    Row(
        "change",
        "change",
        "a line changed in the service",
        "s",
        _BUILD,
        _ENGINE_ALONE,
    ),
    Row(
        "change push",
        "change",
        "bytes to push after it",
        "MB",
        "blobs that the first image had not",
        "the same",
        exact=True,
    ),
    Row(
        "dependency",
        "dependency",
        "one dependency updated (certifi)",
        "s",
        f"another version in requirements_lock.txt; timed: {_BUILD}",
        f"another version in requirements.txt; timed: {_ENGINE_ALONE}",
    ),
    Row(
        "dependency push",
        "dependency",
        "bytes to push after it",
        "MB",
        "blobs that the first image had not",
        "the same",
        exact=True,
    ),
    Row(
        "start",
        "start",
        "start to ready, migrated PostgreSQL",
        "s",
        "the unpacked image's entry point by bubblewrap, read-only, as its user, until it is ready",
        "the same",
    ),
    Row(
        "memory",
        "start",
        "resident memory after 100 requests",
        "MB",
        "VmRSS of that process",
        "the same",
    ),
    Row("list rate", "reads", "list of 20 rows", "requests/s", _LOADED, "the same", more=True),
    Row("list p99", "reads", "list of 20 rows, p99", "ms", _LOADED, "the same"),
    Row("one rate", "reads", "read of one row", "requests/s", _LOADED, "the same", more=True),
    Row("one p99", "reads", "read of one row, p99", "ms", _LOADED, "the same"),
    Row(
        "create rate",
        "writes",
        "creation of a row",
        "requests/s",
        _LOADED.replace("c10", "c32"),
        "the same",
        more=True,
    ),
    Row(
        "create p99",
        "writes",
        "creation of a row, p99",
        "ms",
        _LOADED.replace("c10", "c32"),
        "the same",
    ),
)
GROUPS = tuple(dict.fromkeys(row.group for row in ROWS))
