"""What is varied between two builds, in the spirit of reprotest: one thing at a time."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

# Of the time before 1980, which zip files cannot say.
OLD = 300_000_000
# What an edit is made to, and what it is; the file is in the base layer of every image.
EDITED = "image/files/nsswitch.conf"
EDIT = "# edited\n"
_HOSTILE = {
    "CFLAGS": "-g -O0",
    "GREP_OPTIONS": "--color=always",
    "GZIP": "-1",
    "LANG": "tr_TR.UTF-8",
    "LC_ALL": "tr_TR.UTF-8",
    "LDFLAGS": "-Wl,--build-id=none",
    "MALLOC_PERTURB_": "165",
    "PYTHONHASHSEED": "17",
    "PYTHONOPTIMIZE": "2",
    "PYTHONPATH": "/nowhere",
    "PYTHONUTF8": "0",
    "SOURCE_DATE_EPOCH": "1234567890",
    "TAR_OPTIONS": "--mtime=2001-01-01",
    "TZ": "Asia/Kathmandu",
    "ZIPOPT": "-1",
}


class Machine(Enum):
    """What of the machine is another; machine.py makes it."""

    SAME = auto()
    USER = auto()
    CLOCK = auto()
    TOOLS = auto()
    MEMORY = auto()
    SHUFFLED = auto()


@dataclass(frozen=True)
class Variation:
    """One build; `reason` says what a careless build would let in.

    `fetch` says whether what is varied is there while wheels and packages are fetched and unpacked,
    too: then nothing of another row is used but downloads. Where it is not, a row takes what the
    baseline has unpacked, and writes everything else anew.

    `folder` is the checkout's, below the scratch folder. `prefix` is a command line that the rest
    is put behind. `program` has to be installed, by Debian's `package`. The copy's files have the
    mode bits less `copy_umask`, and the time `modified`; None keeps theirs. `suite` is the Debian
    suite of another builder root.
    """

    name: str
    reason: str
    fetch: bool = False
    folder: str = "checkout"
    clone: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    machine: Machine = Machine.SAME
    prefix: Sequence[str] = ()
    program: str = ""
    package: str = ""
    root: bool = False
    options: Sequence[str] = ()
    umask: int = 0o022
    copy_umask: int = 0
    modified: int | None = None
    suite: str = ""
    steps: Sequence[str] = ("build",)


BASELINE = "baseline"
RELEASE = "release"


def variations(tree: str) -> Sequence[Variation]:
    """All of them, the baseline first. `tree` is the scratch folder, for paths in environments."""
    return (
        Variation(
            BASELINE,
            "what the others are compared with",
            fetch=True,
            options=(f"--disk_cache={tree}/disk-cache",),
        ),
        Variation(
            "no sandbox",
            "inputs that nobody declared, seen where nothing hides them",
            options=("--spawn_strategy=local",),
        ),
        Variation(
            "plain sandbox",
            "the same, with links to inputs in place of mounts",
            options=("--spawn_strategy=processwrapper-sandbox",),
        ),
        Variation(
            "hermetic sandbox",
            "files of the machine that an action reads by their absolute names",
            options=("--config=hermetic",),
        ),
        Variation("optimised", "options of compilers in paths and flags", options=("-c", "opt")),
        Variation(
            "edit and revert",
            "what an incremental build keeps of the state before",
            steps=("build", "edit", "build", "revert", "build"),
        ),
        Variation(
            "disk cache",
            "results of the baseline, fetched in place of made",
            options=(f"--disk_cache={tree}/disk-cache",),
        ),
        Variation(
            "kernel",
            "addresses in the order of sets or in repr(); version of the kernel, name of the host",
            prefix=(
                *("unshare", "--uts", "setarch", "--addr-no-randomize", "--uname-2.6"),
                *("sh", "-c", 'hostname elsewhere; exec "$@"', "sh"),
            ),
            program="unshare",
            package="util-linux",
            root=True,
        ),
        Variation(
            "small machine",
            "order and cutting by the number of threads: one CPU, little memory",
            machine=Machine.MEMORY,
            prefix=("taskset", "--cpu-list", "0"),
            program="taskset",
            package="util-linux",
            root=True,
            options=("--jobs=1",),
        ),
        Variation(
            "tools",
            "programs of the builder root: its compressors pack otherwise, its Python's zlib too",
            machine=Machine.TOOLS,
        ),
        Variation(
            "checkout",
            "modes and times of the checkout: copied under umask 077, older than 1980",
            copy_umask=0o077,
            modified=OLD,
        ),
        Variation(
            "clone", "what git does not keep: other times, no files that are ignored", clone=True
        ),
        Variation(
            RELEASE,
            "what of a stamp is no function of the commit: two clones in different places",
            clone=True,
            options=("--config=release",),
        ),
        Variation(
            "path",
            "a path in byte-code, debug data or messages: another depth, spaces, no ASCII",
            fetch=True,
            folder="a much longer path/with spaces/und Größe/checkout",
        ),
        Variation(
            "home",
            "settings and caches of the person: HOME and the XDG folders are empty and elsewhere",
            fetch=True,
            environment={
                "HOME": f"{tree}/home of another",
                "XDG_CONFIG_HOME": f"{tree}/home of another/settings",
                "XDG_DATA_HOME": f"{tree}/home of another/data",
            },
        ),
        Variation(
            "user",
            "root's rights, and owners of files: an ordinary user who is in no user database",
            fetch=True,
            machine=Machine.USER,
            program="setpriv",
            package="util-linux",
            root=True,
        ),
        Variation(
            "umask", "modes of files that are made during the build", fetch=True, umask=0o077
        ),
        Variation(
            "environment",
            "variables that tools obey; local time in headers, order and case by language",
            fetch=True,
            environment=_HOSTILE,
        ),
        Variation(
            "clock",
            "the time of the build: ten years ahead, in actions and in what unpacks wheels",
            fetch=True,
            machine=Machine.CLOCK,
        ),
        Variation(
            "directory order",
            "order and size of folders, numbers of files: shuffled at each reading, on a tmpfs",
            fetch=True,
            machine=Machine.SHUFFLED,
            program="unshare",
            package="util-linux",
            root=True,
        ),
        Variation(
            "builder root",
            "versions of zlib, Python, git and the JDK that builds run on: those of Debian sid",
            fetch=True,
            suite="sid",
        ),
    )


def here() -> Mapping[str, str]:
    """The environment that every build starts from: the person's, less what Bazel's run added."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("BUILD_", "RUNFILES", "JAVA_RUNFILES", "PYTHON", "TEST_"))
    }
