"""What is varied between two builds, in the spirit of reprotest: one thing at a time."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

# Of the time before 1980, which zip files cannot say.
OLD = 300_000_000
_HOSTILE = {
    "CFLAGS": "-g -O0",
    "GREP_OPTIONS": "--color=always",
    "GZIP": "-1",
    "LDFLAGS": "-Wl,--build-id=none",
    "MALLOC_PERTURB_": "165",
    "PYTHONHASHSEED": "17",
    "PYTHONOPTIMIZE": "2",
    "PYTHONPATH": "/nowhere",
    "PYTHONUTF8": "0",
    "SOURCE_DATE_EPOCH": "1234567890",
    "TAR_OPTIONS": "--mtime=2001-01-01",
    "ZIPOPT": "-1",
}


@dataclass(frozen=True)
class Variation:
    """One build; `reason` says what a careless build would let in.

    `folder` is the checkout's, below the scratch folder. `prefix` is a command line that the rest
    is put behind; its first word has to be installed, by Debian's `package`. The copy's files have
    the mode bits less `copy_umask`, and the time `modified`; None keeps theirs.
    """

    name: str
    reason: str
    folder: str = "checkout"
    clone: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    prefix: Sequence[str] = ()
    package: str = ""
    root: bool = False
    options: Sequence[str] = ()
    umask: int = 0o022
    copy_umask: int = 0
    modified: int | None = None
    steps: Sequence[str] = ("build",)


def variations(tree: str) -> Sequence[Variation]:
    """All of them, the baseline first. `tree` is the scratch folder, for paths in environments."""
    return (
        Variation("baseline", "what the others are compared with"),
        Variation(
            "path",
            "a path in byte-code, debug data or messages: another depth, spaces, no ASCII",
            folder="a much longer path/with spaces/und Größe/checkout",
        ),
        Variation(
            "home",
            "settings and caches of the person: HOME and the XDG folders are empty and elsewhere",
            environment={
                "HOME": f"{tree}/home of another",
                "XDG_CONFIG_HOME": f"{tree}/home of another/settings",
                "XDG_DATA_HOME": f"{tree}/home of another/data",
            },
        ),
        Variation("umask", "modes of files that are made during the build", umask=0o077),
        Variation(
            "time zone and locale",
            "local time in headers, order and case by language",
            environment={"TZ": "Asia/Kathmandu", "LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"},
        ),
        Variation("environment", "variables that tools obey", environment=_HOSTILE),
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
            "one CPU",
            "order and cutting by the number of threads",
            prefix=("taskset", "--cpu-list", "0"),
            package="util-linux",
            options=("--jobs=1",),
        ),
        Variation(
            "addresses and kernel",
            "addresses in the order of sets or in repr(), and the kernel's name",
            prefix=("setarch", "--addr-no-randomize", "--uname-2.6"),
            package="util-linux",
        ),
        Variation(
            "host name",
            "the machine's name",
            prefix=("unshare", "--uts", "sh", "-c", 'hostname elsewhere; exec "$@"', "sh"),
            package="util-linux",
            root=True,
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
        Variation("optimised", "options of compilers in paths and flags", options=("-c", "opt")),
        Variation(
            "edit and revert",
            "what an incremental build keeps of the state before",
            steps=("build", "edit", "build", "revert", "build"),
        ),
        Variation(
            "disk cache",
            "results of another build, fetched in place of made",
            options=(f"--disk_cache={tree}/disk-cache",),
            steps=("build", "forget", "build"),
        ),
    )


def here() -> Mapping[str, str]:
    """The environment that every build starts from: the person's, less what Bazel's run added."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("BUILD_", "RUNFILES", "JAVA_RUNFILES", "PYTHON", "TEST_"))
    }
