"""Makes the builder root: mmdebstrap writes it beside its place, a rename puts it there.

What tests alone call is added to a root that is there without it, when a test is asked for.
"""

import contextlib
import fcntl
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.debian.builder import stages
from tools.debian.builder.error import BuilderError
from tools.debian.builder.merge import merge
from tools.debian.builder.recipe import Recipe
from tools.debian.builder.sandbox import LABEL, OVERLAID_FILES, OVERLAID_FOLDERS
from tools.locks import apt
from tools.signals.termination import held, terminable

LABEL_TEXT = "build.label=7.7.1\n"
# Stands in dpkg's database for the packages that the recipe omits.
OMITTED = "builder-root-omitted"
# What Bazel's client sets LC_CTYPE to for its server.
LOCALE = "en_US.ISO-8859-1"
# Of the packages of tests; nothing reads below /var. A path of before the merge of /usr goes there.
_ADDED = ("bin", "etc", "lib", "lib64", "sbin", "usr")
# mmdebstrap's own, or the person's.
_NOT_ADDED = frozenset({"etc/apt", "etc/dpkg", "etc/fstab", *OVERLAID_FILES})
# What apt 2 and 3 say where an addition would change a package on hold.
_HELD = re.compile(r"have unmet dependencies|Held packages were changed")
_LOG_LINES = 30
_KEPT_SECONDS = 30 * 24 * 3600
_SIZE = "0.2 GB to download, 0.6 GB on disk"
_SIZE_OF_TESTS = "0.1 GB to download, 0.2 GB on disk"
_SIZE_WITH_TESTS = "0.4 GB to download, 0.8 GB on disk"


def make(recipe: Recipe, root: Path, *, tests: bool = False) -> None:
    """Makes the root of a recipe, unless somebody else does so meanwhile: then waits for them.

    Args:
        recipe: what goes in.
        root: its place. A root that is there without what tests call is completed.
        tests: whether what tests alone call goes in.

    Raises:
        BuilderError: the root cannot be made or completed. Then nothing is left that a later call
            would take for one that is.
    """
    tools()
    root.parent.mkdir(parents=True, exist_ok=True)
    with terminable(), alone(root) as lock:
        if stages.reached(root, tests=tests):
            return
        for stale in root.parent.glob(f"{root.name}.partial*"):
            _remove(stale)
        wanted = 0 if root.is_dir() else recipe.free_space
        _check_space(wanted + (recipe.free_space_tests if tests else 0), root.parent)
        _forget(root.parent)
        partial = Path(f"{root}.partial")
        try:
            if root.is_dir():
                _complete(recipe, root, partial, lock)
            else:
                _make(recipe, partial, lock, tests=tests)
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
def alone(root: Path) -> Iterator[int]:
    """Waits for others who make a root; yields the descriptor that the lock is held by."""
    with Path(f"{root}.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another tools/bazel is making the builder root; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle.fileno()


def _check_space(needed: int, cache: Path) -> None:
    free = shutil.disk_usage(cache).free // 10**6
    if free < needed:
        raise BuilderError(
            f"{cache}: {free} MB free, {needed} MB needed to make the builder root. "
            "Free some, or set XDG_CACHE_HOME to a folder on another disk."
        )


def _make(recipe: Recipe, partial: Path, lock: int, *, tests: bool) -> None:
    started = time.monotonic()
    _say(f"making the builder root from Debian {recipe.suite}, once")
    _say(_SIZE_WITH_TESTS if tests else _SIZE)
    packages = (*recipe.packages, *recipe.tests) if tests else recipe.packages
    name = _from_any(recipe, partial, lock, [*_whole(recipe), f"--include={','.join(packages)}"])
    _finish(partial, recipe, name)
    if tests:
        (partial / stages.TESTS).write_text(f"# with {stages.VERSIONS}\n")
    seconds = time.monotonic() - started
    _say(f"builder root ready in {partial.parent}, {seconds:.0f} s")


def _complete(recipe: Recipe, root: Path, partial: Path, lock: int) -> None:
    """Adds what tests call to a root: its files are moved in, and no script of a package runs."""
    started = time.monotonic()
    _say("adding to the builder root what tests call, once")
    _say(_SIZE_OF_TESTS)
    held = Path(f"{partial}.status")
    held.write_text(holding((root / "var/lib/dpkg/status").read_text()))
    try:
        name = _from_any(recipe, partial, lock, _extracted(recipe, held))
    except _MovedError as error:
        raise BuilderError(
            f"{error}\nThe mirror has packages that do not fit the builder root any more. Make it "
            f"anew: end Bazel (tools/bazel shutdown), remove {root}, and try again."
        ) from None
    finally:
        held.unlink()
    versions = (partial / stages.TESTS).read_text()
    merge(partial, root, _ADDED, _NOT_ADDED)
    _remove(partial)
    beside = root / f"{stages.TESTS}.partial"
    beside.write_text(f"# Debian {recipe.suite}, from {name}\n{versions}")
    beside.replace(root / stages.TESTS)
    seconds = time.monotonic() - started
    _say(f"builder root complete in {root.parent}, {seconds:.0f} s")


class _MovedError(BuilderError):
    """Packages would need others than those that are in the root."""


def _from_any(recipe: Recipe, partial: Path, lock: int, options: Sequence[str]) -> str:
    """Runs mmdebstrap with the first source that serves; returns how to call that."""
    log = Path(f"{partial}.log")
    failures: list[str] = []
    held = False
    for name, base in _sources(recipe):
        _say(f"from {name}")
        if _mmdebstrap(recipe, base, partial, log, lock, options):
            log.unlink(missing_ok=True)
            return name
        text = log.read_text(errors="replace")
        held |= _HELD.search(text) is not None
        failures.append(f"{name}:\n    " + "\n    ".join(text.splitlines()[-_LOG_LINES:]))
        _remove(partial)
    raise (_MovedError if held else BuilderError)(
        "the builder root could not be made.\n" + "\n".join(failures)
    )


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


def _whole(recipe: Recipe) -> list[str]:
    """Options of mmdebstrap for a root that nothing is of yet."""
    excluding = " ".join(shlex.quote(f"path-exclude={glob}") for glob in recipe.exclude)
    return [
        "--variant=minbase",
        # As options, mmdebstrap would give them to a Python program for each essential package
        # too, which takes longer than removing what those bring.
        f"--setup-hook=printf '%s\\n' {excluding} >\"$1/etc/dpkg/dpkg.cfg.d/builder-root\"",
        # Alternatives of the JDK link manual pages into a folder that the exclusions leave out.
        '--setup-hook=mkdir -p "$1/usr/share/man/man1"',
        # Bazel's client starts its server in this locale, which tells Java to pass the bytes of
        # paths through as they are; without it, only paths in ASCII are found. Nothing else is
        # made of the sources of locales.
        f'--customize-hook=chroot "$1" localedef -i en_US -f ISO-8859-1 {LOCALE}',
        '--customize-hook=rm -r "$1/usr/share/i18n"',
        *([f"--setup-hook={omitting(recipe.omit)}"] if recipe.omit else []),
    ]


def _extracted(recipe: Recipe, status: Path) -> list[str]:
    """Options of mmdebstrap for a tree of what tests call, and nothing that the root has.

    `status` is the root's database of dpkg.
    """
    versions = (
        'cd "$1/var/cache/apt/archives" && '
        f'for deb in *.deb; do dpkg-deb --show "$deb"; done >"$1/{stages.TESTS}"'
    )
    return [
        "--variant=extract",
        "--skip=output/dev",
        *(f"--dpkgopt=path-exclude={glob}" for glob in recipe.exclude),
        f"--setup-hook=upload {shlex.quote(str(status))} /var/lib/dpkg/status",
        f"--extract-hook={versions}",
        f"--include={','.join(recipe.tests)}",
    ]


def holding(status: str) -> str:
    r"""A database of dpkg in which no package may be changed (dpkg(1), `hold`).

    >>> holding("Package: a\nStatus: install ok installed\n")
    'Package: a\nStatus: hold ok installed\n'
    """
    return re.sub(r"^Status: install ok", "Status: hold ok", status, flags=re.MULTILINE)


def _mmdebstrap(
    recipe: Recipe, base: str, partial: Path, log: Path, lock: int, options: Sequence[str]
) -> bool:
    root = os.geteuid() == 0
    target = partial if root else Path(f"{partial}.tar")
    command = [
        # What is mounted into the root on the way must not be seen outside: whoever removed an
        # unfinished root would reach through it.
        *(["unshare", "--mount", "--propagation", "private"] if root else []),
        "mmdebstrap",
        "--verbose",
        f"--mode={'root' if root else 'unshare'}",
        *(f"--aptopt={setting}" for setting in apt.transport()),
        '--aptopt=APT::Install-Recommends "false"',
        # A frozen archive's Release file has expired by nature; its signature still counts.
        *(['--aptopt=Acquire::Check-Valid-Until "false"'] if recipe.snapshot in base else []),
        "--dpkgopt=force-unsafe-io",
        *options,
        recipe.suite,
        str(target),
        f"deb {base} {recipe.suite} main",
    ]
    with log.open("wb") as record:
        process = None
        try:
            with held():
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=record,
                    stderr=subprocess.STDOUT,
                    env=os.environ | {"LC_ALL": "C.UTF-8"},
                    start_new_session=True,
                    # Should this program be killed, its children keep the lock for as long as they
                    # write.
                    pass_fds=[lock],
                )
            _follow(process, log)
        except BaseException:
            if process is not None:
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
    if "extracting archives" in last and not unpacked:
        return f"unpacking: {fetched} packages"
    if configured and unpacked >= fetched:
        return f"configuring: {configured} of {max(unpacked, configured)} packages"
    if unpacked:
        return f"unpacking: {unpacked} of {max(fetched, unpacked)} packages"
    return f"downloading {sizes[-1]}: {fetched} packages so far"


def _finish(partial: Path, recipe: Recipe, name: str) -> None:
    for glob in recipe.exclude:
        for path in partial.glob(glob.removeprefix("/")):
            _remove(path)
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
    (partial / stages.VERSIONS).write_text(f"# Debian {recipe.suite}, from {name}\n{listing}")


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
