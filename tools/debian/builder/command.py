"""The Bazel command line: what the person typed, and what Debian mode puts before it."""

import contextlib
import errno
import hashlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.debian.builder import npm, sandbox, stages, truststore
from tools.debian.builder.error import BuilderError
from tools.locks.error import LockError

WORKSPACE = Path(__file__).resolve().parents[3]
RECIPE = WORKSPACE / "tools/debian/recipe.toml"

# Startup options whose value may stand in the next argument (`bazel help startup_options`).
_STARTUP_WITH_VALUE = frozenset(
    {
        *("--bazelrc", "--connect_timeout_secs", "--digest_function", "--failure_detail_out"),
        *("--host_jvm_args", "--install_base", "--invocation_policy", "--io_nice_level"),
        *("--local_startup_timeout_secs", "--macos_qos_class", "--max_idle_secs"),
        *("--output_base", "--output_user_root", "--server_javabase", "--server_jvm_out"),
    }
)
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_SI_KERNEL = 0x80
# bubblewrap's MAX_ARGS, less its own name and what else is put before the command.
_MOST_ARGUMENTS = 9000 - 20


def main(arguments: list[str]) -> int:
    """Runs Bazel in the builder root; returns the exit code, 1 for what the builder found wrong."""
    try:
        file, arguments = split_bundle(arguments, os.environ)
        cache = cache_folder(os.environ)
        if arguments[:1] == ["--uninstall"]:
            return _uninstall(arguments[1:], cache)
        builder = place(cache / "builder")
        bazel = split(arguments)[1]
        if not builder.is_dir() and bazel == "shutdown":
            # Without a root no server runs.
            return 0
        _check(cache)
        if file is not None:
            _unpack(file, builder, cache)
        prepare(builder, tests=stages.tests(bazel))
        with contextlib.suppress(OSError):
            # The time of the last use: a root that nobody uses any more is removed some day.
            os.utime(f"{builder}.lock")
        return _run(arguments, builder, cache)
    except (BuilderError, LockError) as error:
        print(f"tools/bazel: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        # The cache folder cannot be written, say; the text has the path.
        print(f"tools/bazel: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def cache_folder(environment: Mapping[str, str]) -> Path:
    """This project's folder below the person's cache folder (XDG Base Directory, section 3)."""
    base = environment.get("XDG_CACHE_HOME", "")
    if not base.startswith("/"):
        home = home_folder(environment)
        if home is None:
            raise BuilderError(
                "HOME is not set, and this user has none in /etc/passwd. Set XDG_CACHE_HOME to a "
                "folder that you can write to."
            )
        base = f"{home}/.cache"
    return Path(base, "bazel-debian")


def home_folder(environment: Mapping[str, str]) -> Path | None:
    """The person's folder: HOME, else what the user database says; None where neither knows."""
    if (home := environment.get("HOME", "")).startswith("/"):
        return Path(home)
    # Not Path.home(), to which an empty HOME is the root of the file system.
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return None


def _check(cache: Path) -> None:
    """Makes sure that the cache folder can be written, before anything is half made."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        if not os.access(cache, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "not writable")
    except OSError as error:
        raise BuilderError(
            f"{cache} cannot be written: {error.strerror}. Set XDG_CACHE_HOME to a folder that "
            "you can write to."
        ) from None


def split(arguments: list[str]) -> tuple[list[str], str | None, list[str]]:
    """Startup options, the command, and what follows it.

    >>> split(["--batch", "--output_base", "/x", "run", "//a", "--", "b"])
    (['--batch', '--output_base', '/x'], 'run', ['//a', '--', 'b'])
    """
    index = 0
    while index < len(arguments) and arguments[index].startswith("-"):
        index += 2 if arguments[index] in _STARTUP_WITH_VALUE else 1
    command = arguments[index] if index < len(arguments) else None
    return arguments[:index], command, arguments[index + 1 :]


def place(folder: Path) -> Path:
    """Where the builder root is, once it is made.

    Its name is a hash of the recipe and of the program that follows it, so that changing either
    makes a new root. It is the same before and after what tests call has been added.
    """
    makers = (Path(__file__).with_name(name) for name in ("root.py", "merge.py", "stages.py"))
    text = b"\0".join(file.read_bytes() for file in (RECIPE, *makers))
    return folder / _hash(text)


def _hash(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:16]


def split_bundle(
    arguments: list[str], environment: Mapping[str, str]
) -> tuple[Path | None, list[str]]:
    """The bundle that `--bundle FILE` or BAZEL_BUNDLE names, and the arguments for Bazel.

    >>> split_bundle(["--bundle=x", "build"], {})
    (PosixPath('x'), ['build'])
    """
    if arguments and arguments[0].startswith("--bundle="):
        return Path(arguments[0].partition("=")[2]), arguments[1:]
    if arguments and arguments[0] == "--bundle":
        if len(arguments) == 1:
            raise BuilderError("--bundle: expected a file after it")
        return Path(arguments[1]), arguments[2:]
    named = environment.get("BAZEL_BUNDLE")
    return (Path(named) if named else None), arguments


def _unpack(file: Path, builder: Path, cache: Path) -> None:
    from tools.debian.builder import bundle  # noqa: PLC0415 - see prepare

    bundle.unpack(file, builder=builder, cache=cache)


def prepare(builder: Path, *, tests: bool) -> None:
    """Makes the builder root where it is missing, or lacks what tests call though `tests`.

    Raises:
        BuilderError: it cannot be made or completed.
    """
    if stages.reached(builder, tests=tests):
        return
    # Loading what makes a root would cost every other call a tenth of a second.
    from tools.debian.builder import recipe, root  # noqa: PLC0415

    root.make(recipe.read(RECIPE), builder, tests=tests)


def _uninstall(rest: list[str], cache: Path) -> int:
    from tools.debian.builder import uninstall  # noqa: PLC0415 - see prepare

    if rest:
        raise BuilderError(f"--uninstall: expected nothing after it, got {' '.join(rest)}")
    print(f"tools/bazel: {uninstall.uninstall(cache, WORKSPACE)}")
    return 0


def _run(arguments: list[str], builder: Path, cache: Path) -> int:
    startup, command, rest = split(arguments)
    if not sandbox.loopback_is_up():
        # See _in_root: a server of this call could not be reached by the next one.
        startup = ["--batch", *startup]
    output = cache / "output"
    output.mkdir(parents=True, exist_ok=True)
    bazel = ["/usr/bin/bazel", *_startup(builder, cache), *startup]
    if command is None:
        return _in_root(bazel, builder, cache)
    if command != "run" or any(option.startswith("--script_path") for option in rest):
        return _in_root([*bazel, command, *rest], builder, cache)
    # `bazel run` is for the person: the program runs outside of the builder root, with their
    # own environment, programs and credentials, as it does with any other Bazel.
    with tempfile.NamedTemporaryFile(dir=cache, prefix="run-", suffix=".sh") as script:
        code = _in_root([*bazel, command, f"--script_path={script.name}", *rest], builder, cache)
        if code:
            return code
        # Paths are bytes, in whatever encoding the person's folders are named.
        text = os.fsdecode(Path(script.name).read_bytes())
    program = ["/bin/bash", "-c", text, *_shown(rest)]
    return os.execv(program[0], program)


def _shown(rest: list[str]) -> list[str]:
    """The name that the script's shell shows in its errors."""
    return [next((word for word in rest if not word.startswith("-")), "run")]


def _startup(builder: Path, cache: Path) -> list[str]:
    options = [
        # The Debian package's own rc file has settings for building other Debian packages.
        "--nosystem_rc",
        "--install_base=/usr/share/bazel",
        # Bazel looks for a Java compiler, which the root lacks, to find the Java beside it.
        "--server_javabase=/usr/lib/jvm/default-java",
        "--trust_install_base",
        f"--output_user_root={cache}/output",
        f"--host_jvm_args=-Xbootclasspath/a:/{sandbox.LABEL}",
        # A server of another builder root, or that sees it otherwise, must not serve this one:
        # Bazel starts a new server when its startup options change.
        f"--host_jvm_args=-Dbuilder.root={builder.name}",
        f"--host_jvm_args=-Dbuilder.view={_hash(Path(sandbox.__file__).read_bytes())}",
        f"--bazelrc={WORKSPACE}/tools/debian/bazelrc",
    ]
    if sandbox.in_memory():
        options.append(f"--bazelrc={WORKSPACE}/tools/debian/memory.bazelrc")
    if store := truststore.ensure(cache, builder):
        options += [
            f"--host_jvm_args=-Djavax.net.ssl.trustStore={store}",
            f"--host_jvm_args=-Djavax.net.ssl.trustStorePassword={truststore.PASSWORD}",
        ]
    return options


def _in_root(command: list[str], builder: Path, cache: Path) -> int:
    """Runs a command in the builder root and returns its exit code; signals go to the command."""
    home = home_folder(os.environ)
    for folder in (WORKSPACE, cache.resolve()):
        if sandbox.system(builder, folder):
            raise BuilderError(
                f"{folder} is a folder of the system, of which Bazel sees the builder root's. "
                "Keep checkout and cache (XDG_CACHE_HOME) in folders of their own."
            )
    folders = [folder for folder in (home, WORKSPACE, cache) if folder and folder.is_dir()]
    view = _view(builder, folders, len(command))
    reading, writing = os.pipe()
    wrapped = [*_bubblewrap(builder), *view, "--info-fd", str(writing)]
    environment = dict(os.environ)
    if home:
        # Where the cache is follows from it in there as well: an empty one would be /.
        environment["HOME"] = str(home)
    environment["PATH"] = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
    if registry := npm.registry(environment, cache / "npm-registry"):
        environment["NPM_CONFIG_REGISTRY"] = registry
    for name in ("PYTHONSAFEPATH", "PYTHONDONTWRITEBYTECODE", "BAZEL_REAL"):
        environment.pop(name, None)
    # bwrap's waiting half would die of a Ctrl-C and leave Bazel behind, so signals are ignored
    # there and take their default meaning again for Bazel.
    names = ",".join(number.name.removeprefix("SIG") for number in _FORWARDED)
    wrapped += ["/usr/bin/env", f"--default-signal={names}"]
    watched = {*_FORWARDED, signal.SIGCHLD}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, watched)

    def ignore() -> None:
        for number in _FORWARDED:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    try:
        process = subprocess.Popen(
            [*wrapped, *command], env=environment, pass_fds=[writing], preexec_fn=ignore
        )
        os.close(writing)
        with os.fdopen(reading) as info:
            child = _child(info.read())
        while (code := process.poll()) is None:
            received = signal.sigwaitinfo(watched)
            # What the terminal sends, it sends to Bazel as well.
            if received.si_signo != signal.SIGCHLD and received.si_code != _SI_KERNEL and child:
                os.kill(child, received.si_signo)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    if child is None and code:
        raise BuilderError(
            f"bubblewrap could not set up the builder root (exit code {code}). It needs root, or "
            "user namespaces for ordinary users: sysctl kernel.unprivileged_userns_clone=1, and "
            "on AppArmor machines kernel.apparmor_restrict_unprivileged_userns=0."
        )
    return code


def _view(builder: Path, folders: Sequence[Path], words: int) -> list[str]:
    """Options of bubblewrap, which have to leave room for a command of so many words."""
    view = sandbox.arguments(builder, folders, Path.cwd())
    if not sandbox.loopback_is_up():
        # Bazel's client talks to its server over it, and bubblewrap's new namespace has one.
        view = ["--unshare-net", *view]
    if len(view) + words > _MOST_ARGUMENTS:
        raise BuilderError(
            f"expected at most {_MOST_ARGUMENTS - len(view)} arguments, got {words}: "
            "bubblewrap takes no more. Targets may stand in a file: --target_pattern_file=FILE"
        )
    return view


def _bubblewrap(builder: Path) -> list[str]:
    """How to start bubblewrap: the machine's, else the builder root's by that root's own loader."""
    if found := shutil.which("bwrap"):
        return [found]
    loader = next(builder.glob("usr/lib*/ld-linux-*.so.*"), None)
    program = builder / "usr/bin/bwrap"
    if loader is None or not program.exists():
        raise BuilderError(f"{builder}: bubblewrap is missing. As root: apt-get install bubblewrap")
    libraries = ":".join(str(folder) for folder in builder.glob("usr/lib/*-linux-gnu"))
    return [str(loader), "--library-path", libraries, str(program)]


def _child(info: str) -> int | None:
    """The process id in what bwrap writes to its info descriptor; None where it wrote none."""
    try:
        return int(json.loads(info)["child-pid"])
    except (ValueError, KeyError):
        return None
