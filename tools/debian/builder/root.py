"""Makes the builder root: mmdebstrap writes it beside its place, a rename puts it there."""

import contextlib
import fcntl
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.debian.builder.error import BuilderError
from tools.debian.builder.recipe import Recipe
from tools.debian.builder.sandbox import LABEL, OVERLAID_FILES, OVERLAID_FOLDERS
from tools.locks import apt

LABEL_TEXT = "build.label=7.7.1\n"
VERSIONS = Path("builder-root.versions")
# Stands in dpkg's database for the packages that the recipe omits.
OMITTED = "builder-root-omitted"
# What Bazel's client sets LC_CTYPE to for its server.
LOCALE = "en_US.ISO-8859-1"
_LOG_LINES = 30
_KEPT_SECONDS = 30 * 24 * 3600


def make(recipe: Recipe, root: Path) -> None:
    """Makes the root of a recipe, unless somebody else does so meanwhile: then waits for them.

    Raises `BuilderError` when the root cannot be made; then nothing is left that a later call
    would take for a root.
    """
    tools()
    root.parent.mkdir(parents=True, exist_ok=True)
    with _terminable(), _lock(Path(f"{root}.lock")) as lock:
        if root.is_dir():
            return
        for stale in root.parent.glob(f"{root.name}.partial*"):
            _remove(stale)
        _check_space(recipe, root.parent)
        _forget(root.parent)
        partial = Path(f"{root}.partial")
        try:
            _make(recipe, partial, lock)
            partial.rename(root)
        except BaseException:
            _remove(partial)
            raise


def _forget(folder: Path) -> None:
    """Removes the roots of former recipes that nobody has used for a month."""
    for lock in folder.glob("*.lock"):
        unused = Path(str(lock).removesuffix(".lock"))
        if unused.is_dir() and time.time() - lock.stat().st_mtime > _KEPT_SECONDS:
            _say(f"removing {unused}, unused for a month")
            _remove(unused)
            lock.unlink()


def tools() -> None:
    """Makes sure of mmdebstrap and bubblewrap; raises `BuilderError` with the line to type."""
    wanted = {"mmdebstrap": "mmdebstrap", "bwrap": "bubblewrap"}
    if os.geteuid() != 0:
        wanted["newuidmap"] = "uidmap"
    missing = [package for program, package in wanted.items() if not shutil.which(program)]
    if not missing:
        return
    line = f"apt-get install --no-install-recommends -y {' '.join(missing)}"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise BuilderError(
            f"{', '.join(missing)} missing. As root, once:\n    {line}\n"
            "or install Bazelisk and run `bazel` in this folder."
        )
    _say(f"installing {', '.join(missing)} with apt")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-qq"], shlex.split(line)):
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if done.returncode:
            raise BuilderError(
                f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-3000:]}"
            )


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Lets SIGTERM and SIGHUP end the program as Ctrl-C does: cleaning up on the way out."""

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    numbers = (signal.SIGTERM, signal.SIGHUP)
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, leave) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _lock(file: Path) -> Iterator[int]:
    with file.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another tools/bazel is making the builder root; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle.fileno()


def _check_space(recipe: Recipe, cache: Path) -> None:
    free = shutil.disk_usage(cache).free // 10**6
    if free < recipe.free_space:
        raise BuilderError(
            f"{cache}: {free} MB free, {recipe.free_space} MB needed to make the builder root. "
            "Free some, or set XDG_CACHE_HOME to a folder on another disk."
        )


def _make(recipe: Recipe, partial: Path, lock: int) -> None:
    sources = _sources(recipe)
    started = time.monotonic()
    _say(f"making the builder root from Debian {recipe.suite}, once")
    _say("0.4 GB to download, 0.9 GB on disk")
    log = Path(f"{partial}.log")
    failures: list[str] = []
    for name, base in sources:
        _say(f"from {name}")
        if _mmdebstrap(recipe, base, partial, log, lock):
            break
        tail = log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        failures.append(f"{name}:\n    " + "\n    ".join(tail))
        _remove(partial)
    else:
        raise BuilderError("the builder root could not be made.\n" + "\n".join(failures))
    _finish(partial, recipe, name)
    log.unlink(missing_ok=True)
    seconds = time.monotonic() - started
    _say(f"builder root ready in {partial.parent}, {seconds:.0f} s")


def _sources(recipe: Recipe) -> list[tuple[str, str]]:
    """What to make the root from, best first: the snapshot archive, then apt's own mirrors."""
    archives = apt.snapshots(recipe.snapshot)
    mirrors = apt.mirrors()
    good_archives, bad = apt.answering(archives, recipe.suite)
    good_mirrors, bad_mirrors = apt.answering(mirrors, recipe.suite)
    found = [(f"the snapshot archive at {recipe.snapshot}", uri) for uri in good_archives]
    found += [("this machine's Debian mirror", uri) for uri in good_mirrors]
    if not found:
        tried = "\n    ".join(bad + bad_mirrors) or "none configured"
        raise BuilderError(
            f"no Debian mirror with {recipe.suite} answers. Tried:\n    {tried}\n"
            "Name one in /etc/apt/sources.list (see sources.list(5)), or in DEBIAN_MIRRORS=URI; "
            "a proxy in http_proxy or apt's Acquire::http::Proxy."
        )
    return found


def _mmdebstrap(recipe: Recipe, base: str, partial: Path, log: Path, lock: int) -> bool:
    root = os.geteuid() == 0
    target = partial if root else Path(f"{partial}.tar")
    command = [
        # What is mounted into the root on the way must not be seen outside: whoever removed an
        # unfinished root would reach through it.
        *(["unshare", "--mount", "--propagation", "private"] if root else []),
        "mmdebstrap",
        "--variant=minbase",
        "--verbose",
        f"--mode={'root' if root else 'unshare'}",
        *(f"--aptopt={setting}" for setting in apt.transport()),
        '--aptopt=APT::Install-Recommends "false"',
        # A frozen archive's Release file has expired by nature; its signature still counts.
        *(['--aptopt=Acquire::Check-Valid-Until "false"'] if recipe.snapshot in base else []),
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude={glob}" for glob in recipe.exclude),
        # Alternatives of the JDK link manual pages into a folder that the exclusions leave out.
        '--setup-hook=mkdir -p "$1/usr/share/man/man1"',
        # Bazel's client starts its server in this locale, which tells Java to pass the bytes of
        # paths through as they are; without it, only paths in ASCII are found.
        f'--customize-hook=chroot "$1" localedef -i en_US -f ISO-8859-1 {LOCALE}',
        *([f"--setup-hook={omitting(recipe.omit)}"] if recipe.omit else []),
        f"--include={','.join(recipe.packages)}",
        recipe.suite,
        str(target),
        f"deb {base} {recipe.suite} main",
    ]
    with log.open("wb") as record:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=record,
            stderr=subprocess.STDOUT,
            env=os.environ | {"LC_ALL": "C.UTF-8"},
            start_new_session=True,
            # Should this program be killed, its children keep the lock for as long as they write.
            pass_fds=[lock],
        )
        try:
            _follow(process, log)
        except BaseException:
            _end(process)
            raise
    if process.returncode:
        return False
    if not root:
        partial.mkdir()
        unpacked = subprocess.run(
            ["tar", "-x", "--no-same-owner", "--exclude=./dev/*", "-C", partial, "-f", target],
            check=False,
        )
        target.unlink()
        return unpacked.returncode == 0
    return True


def omitting(packages: Sequence[str]) -> str:
    """The shell line that has apt and dpkg take packages as being there, in the root `$1`.

    It enters one package into dpkg's database (dpkg(1), `status`) that provides them all, at a
    version above each that Debian could ask for (Debian policy 7.5). The entry has no files.
    """
    provided = ", ".join(f"{package} (= 999:0)" for package in packages)
    entry = (
        f"Package: {OMITTED}\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n"
        f"Multi-Arch: foreign\nMaintainer: nobody\nProvides: {provided}\n"
        "Description: what the recipe of the builder root leaves out\n\n"
    )
    return (
        'cd "$1/var/lib/dpkg" && mkdir -p info && '
        f"touch info/{OMITTED}.list info/{OMITTED}.md5sums && "
        f"printf %s {shlex.quote(entry)} >>status"
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process and all that it has started."""
    with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _follow(process: subprocess.Popen[bytes], log: Path) -> None:
    """Tells how far mmdebstrap is, in a line every few seconds, until it ends."""
    while True:
        try:
            process.wait(timeout=5)
            return
        except subprocess.TimeoutExpired:
            _say(progress(log.read_text(errors="replace")))


def progress(log: str) -> str:
    r"""One line on how far a log of mmdebstrap and apt has come.

    >>> progress("Need to get 9 MB of archives.\nGet:1 a\nGet:2 b\n")
    'downloading 9 MB: 2 packages so far'
    """
    sizes: list[str] = re.findall(r"^Need to get ([\d.,]+ [kMG]?B)", log, re.MULTILINE)
    # mmdebstrap runs apt twice: for the essential packages, then for the rest.
    last = log[log.rfind("Need to get ") :] if sizes else log
    configured = len(re.findall(r"^Setting up ", last, re.MULTILINE))
    unpacked = len(re.findall(r"^Unpacking ", last, re.MULTILINE))
    fetched = len(re.findall(r"^Get:\d+ ", last, re.MULTILINE))
    if not sizes:
        return "reading the package lists"
    if configured and unpacked >= fetched:
        return f"configuring: {configured} of {max(unpacked, configured)} packages"
    if unpacked:
        return f"unpacking: {unpacked} of {max(fetched, unpacked)} packages"
    return f"downloading {sizes[-1]}: {fetched} packages so far"


def _finish(partial: Path, recipe: Recipe, name: str) -> None:
    # The Debian package's settings for building other Debian packages; see _startup.
    (partial / "etc/bazel/bazelrc").unlink(missing_ok=True)
    label = partial / LABEL
    label.mkdir(parents=True)
    (label / "build-data.properties").write_text(LABEL_TEXT)
    for folder in OVERLAID_FOLDERS:
        (partial / folder).mkdir(parents=True, exist_ok=True)
    for file in OVERLAID_FILES:
        place = partial / file
        if place.is_symlink():
            place.unlink()
        place.touch()
    query = ["dpkg-query", f"--admindir={partial}/var/lib/dpkg", "--show"]
    listing = subprocess.run(query, capture_output=True, text=True, check=True).stdout
    (partial / VERSIONS).write_text(f"# Debian {recipe.suite}, from {name}\n{listing}")


def _remove(path: Path) -> None:
    mounts = Path("/proc/self/mounts").read_text().split()
    if inside := [mount for mount in mounts if mount.startswith(f"{path}/")]:
        raise BuilderError(f"{inside[0]} is mounted; unmount what is below {path}, and try again")
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _say(text: str) -> None:
    print(f"tools/bazel: {text}", file=sys.stderr, flush=True)
