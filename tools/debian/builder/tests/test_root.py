"""The builder root is there as a whole or not at all, and so is what tests call."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tools.debian.builder import root, stages
from tools.debian.builder.error import BuilderError
from tools.debian.builder.recipe import Recipe

# Stands for mmdebstrap: its last arguments are suite, target and source.
MMDEBSTRAP = """#!/bin/sh
for target; do case "$target" in *.partial) break;; esac; done
mkdir -p "$target/usr/bin" "$target/etc/bazel" "$target/etc/ssl/certs" "$target/var/lib/dpkg"
touch "$target/etc/bazel/bazelrc" "$target/var/lib/dpkg/status"
echo "$@" > "$target/arguments"
{end}
"""

# The same for what tests call, which is taken out of packages and not installed.
EXTRACTING = """#!/bin/sh
for target; do case "$target" in *.partial) break;; esac; done
mkdir -p "$target/usr/bin" "$target/usr/lib/podman" "$target/etc/apt" "$target/etc/haproxy"
for file in usr/bin/podman usr/lib/podman/netavark etc/haproxy/haproxy.cfg etc/apt/apt.conf; do
    echo new >"$target/$file"
done
printf 'podman\\t5.8.6\\n' >"$target/builder-root.tests"
echo "$@" >"$target/etc/haproxy/arguments"
{end}
"""

INSTALLED = """\
Package: {name}
Status: install ok installed
Version: 1
Architecture: all
Maintainer: nobody
Depends: {wanted}
Description: for a test

"""


@pytest.fixture(autouse=True)
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    program(folder / "unshare", '#!/bin/sh\nshift 3\nexec "$@"\n')
    for name in ("bwrap", "newuidmap"):
        program(folder / name, "#!/bin/sh\n")
    program(folder / "mmdebstrap", MMDEBSTRAP.format(end=""))
    program(folder / "dpkg-query", "#!/bin/sh\nprintf 'bazel-bootstrap\\t7.7.1\\n'\n")
    program(folder / "apt-config", "#!/bin/sh\n")
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("DEBIAN_MIRRORS", "file:/mirror")
    # What an ordinary user's mmdebstrap writes is a tar; the tests stand for root's.
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return folder


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(
        "forky",
        "20261030T080801Z",
        ("git",),
        ("/usr/share/man/*",),
        free_space=1,
        tests=("podman",),
        free_space_tests=1,
    )


@pytest.fixture
def first(tmp_path: Path, recipe: Recipe, tools: Path) -> Path:
    """A root of the first stage, at whose next call mmdebstrap gives what tests call."""
    place = tmp_path / "cache/key"
    root.make(recipe, place)
    (place / "usr/lib").mkdir()
    (place / "var/lib/dpkg/status").write_text(INSTALLED.format(name="git", wanted="libc6"))
    program(tools / "mmdebstrap", EXTRACTING.format(end=""))
    return place


def program(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(0o755)


def test_a_root_records_the_versions_that_went_in(tmp_path: Path, recipe: Recipe) -> None:
    root.make(recipe, tmp_path / "cache/key")

    text = (tmp_path / "cache/key/builder-root.versions").read_text()
    assert "bazel-bootstrap\t7.7.1" in text
    assert text.startswith("# Debian forky, from this machine's Debian mirror")


def test_the_packages_and_the_mirror_reach_mmdebstrap(tmp_path: Path, recipe: Recipe) -> None:
    root.make(recipe, tmp_path / "cache/key")

    words = (tmp_path / "cache/key/arguments").read_text()
    assert "--include=git" in words
    assert "deb file:/mirror forky main" in words
    assert "path-exclude=/usr/share/man/*" in words


def test_what_is_excluded_is_removed_where_an_essential_package_has_brought_it(
    tmp_path: Path, recipe: Recipe, tools: Path
) -> None:
    brought = 'mkdir -p "$target/usr/share/man/man1"; touch "$target/usr/share/man/man1/ls.1.gz"'
    program(tools / "mmdebstrap", MMDEBSTRAP.format(end=brought))

    root.make(recipe, tmp_path / "cache/key")

    assert not list((tmp_path / "cache/key/usr/share/man").iterdir())


@pytest.mark.skipif(not Path("/usr/bin/apt-get").exists(), reason="apt is Debian's")
def test_apt_takes_omitted_packages_as_being_there_and_others_not(tmp_path: Path) -> None:
    state = tmp_path / "var/lib/dpkg"
    state.mkdir(parents=True)
    (state / "status").touch()
    hook = root.omitting(["default-jdk", "gcc"])
    subprocess.run(["/bin/sh", "-ec", hook, "hook", tmp_path], check=True)
    with (state / "status").open("a") as database:
        database.write(INSTALLED.format(name="c-compiler-user", wanted="gcc (>= 4), default-jdk"))
        database.write(INSTALLED.format(name="make-user", wanted="gcc, make"))
    options = {
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State": tmp_path,
        "Dir::State::status": state / "status",
        "Dir::Cache": tmp_path,
    }
    words = [f"-o{name}={value}" for name, value in options.items()]

    check = ["/usr/bin/apt-get", *words, "check"]
    said = subprocess.run(check, capture_output=True, text=True, check=False)

    unmet = [line.strip() for line in said.stdout.splitlines() if "Depends:" in line]
    assert unmet == ["make-user : Depends: make but it is not installable"], said


def test_an_omission_is_entered_before_apt_looks(tmp_path: Path) -> None:
    recipe = Recipe("forky", "20261030T080801Z", ("git",), (), 1, ("gcc",))

    root.make(recipe, tmp_path / "cache/key")

    words = (tmp_path / "cache/key/arguments").read_text()
    assert "--setup-hook=cd" in words
    assert "Provides: gcc" in words


def test_a_root_for_a_build_has_none_of_what_tests_call(tmp_path: Path, recipe: Recipe) -> None:
    root.make(recipe, tmp_path / "cache/key")

    assert "--include=git " in (tmp_path / "cache/key/arguments").read_text()
    assert stages.reached(tmp_path / "cache/key", tests=False)
    assert not stages.reached(tmp_path / "cache/key", tests=True)


def test_a_test_as_the_first_command_makes_all_in_one_go(tmp_path: Path, recipe: Recipe) -> None:
    root.make(recipe, tmp_path / "cache/key", tests=True)

    assert "--include=git,podman " in (tmp_path / "cache/key/arguments").read_text()
    assert stages.reached(tmp_path / "cache/key", tests=True)


def test_a_later_test_adds_to_the_root_and_changes_nothing_in_it(
    recipe: Recipe, first: Path
) -> None:
    (first / "etc/apt/apt.conf").write_text("the root's")
    before = (first / "usr/bin").stat().st_ino

    root.make(recipe, first, tests=True)

    assert (first / "usr/bin").stat().st_ino == before
    assert (first / "etc/apt/apt.conf").read_text() == "the root's"
    added = ("usr/bin/podman", "usr/lib/podman/netavark", "etc/haproxy/haproxy.cfg")
    assert [(first / path).read_text() for path in added] == ["new\n"] * 3
    words = (first / "etc/haproxy/arguments").read_text()
    assert "--variant=extract" in words
    assert "--include=podman " in words
    assert "podman\t5.8.6" in (first / "builder-root.tests").read_text()
    assert sorted(path.name for path in first.parent.iterdir()) == ["key", "key.lock"]


def test_what_was_added_once_is_not_added_again(recipe: Recipe, first: Path, tools: Path) -> None:
    root.make(recipe, first, tests=True)
    program(tools / "mmdebstrap", "#!/bin/sh\nexit 1\n")

    root.make(recipe, first, tests=True)
    root.make(recipe, first)


def test_an_addition_that_fails_leaves_the_root_as_it_was(
    recipe: Recipe, first: Path, tools: Path
) -> None:
    program(tools / "mmdebstrap", EXTRACTING.format(end="echo no space left >&2; exit 1"))

    with pytest.raises(BuilderError, match="no space left"):
        root.make(recipe, first, tests=True)

    assert not (first / "usr/bin/podman").exists()
    assert stages.reached(first, tests=False)
    assert not stages.reached(first, tests=True)
    left = sorted(path.name for path in first.parent.iterdir())
    assert left == ["key", "key.lock", "key.partial.log"]


def test_an_addition_that_was_interrupted_is_noticed_and_repeated(
    recipe: Recipe, first: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Path.replace

    def interrupted(source: Path, target: Path) -> Path:
        if source.name == "podman" and source.parent.name == "lib":
            raise OSError(errno.ENOSPC, "No space left on device")
        return replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", interrupted)
        with pytest.raises(OSError, match="No space left"):
            root.make(recipe, first, tests=True)
    assert (first / "usr/bin/podman").exists()
    assert not stages.reached(first, tests=True)

    root.make(recipe, first, tests=True)

    assert (first / "usr/lib/podman/netavark").exists()
    assert stages.reached(first, tests=True)


def test_packages_that_do_not_fit_the_root_any_more_are_said_with_the_remedy(
    recipe: Recipe, first: Path, tools: Path
) -> None:
    end = "echo 'The following packages have unmet dependencies:'; exit 1"
    program(tools / "mmdebstrap", EXTRACTING.format(end=end))

    with pytest.raises(BuilderError, match=rf"tools/bazel shutdown\), remove {first}, and try"):
        root.make(recipe, first, tests=True)


def test_nothing_is_added_through_a_link_that_leads_out_of_the_root(
    tmp_path: Path, recipe: Recipe, first: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (first / "usr/lib/podman").symlink_to(tmp_path / "outside")

    with pytest.raises(BuilderError, match="usr/lib/podman leads out of the builder root"):
        root.make(recipe, first, tests=True)

    assert not list((tmp_path / "outside").iterdir())


@pytest.mark.skipif(not Path("/usr/bin/apt-get").exists(), reason="apt is Debian's")
def test_apt_refuses_an_addition_that_would_change_the_root(tmp_path: Path) -> None:
    offered = "Package: {}\nVersion: 2\nArchitecture: all\nMaintainer: nobody\nDepends: {}\n"
    offered += "Filename: ./x.deb\nSize: 1\nSHA256: 0\nDescription: for a test\n\n"
    (tmp_path / "Packages").write_text(
        offered.format("tool", "lib (>= 2)")
        + offered.format("other", "lib (>= 1)")
        + offered.format("lib", "tool | other")
    )
    (tmp_path / "sources.list").write_text(f"deb [trusted=yes] file:{tmp_path} ./\n")
    status = INSTALLED.format(name="lib", wanted="").replace("Depends: \n", "")
    (tmp_path / "status").write_text(root.holding(status))
    for folder in ("lists/partial", "archives/partial"):
        (tmp_path / folder).mkdir(parents=True)
    options = {
        "Dir::Etc::sourcelist": tmp_path / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State": tmp_path,
        "Dir::State::status": tmp_path / "status",
        "Dir::Cache": tmp_path,
        "APT::Sandbox::User": "",
    }
    apt = ["/usr/bin/apt-get", *(f"-o{name}={value}" for name, value in options.items())]
    subprocess.run([*apt, "update"], capture_output=True, check=True)

    def installed(name: str) -> subprocess.CompletedProcess[str]:
        words = [*apt, "--simulate", "--yes", "install", name]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    assert "Inst other" in installed("other").stdout
    refused = installed("tool")
    assert refused.returncode
    assert root._HELD.search(refused.stdout + refused.stderr), refused


def test_nothing_is_left_where_mmdebstrap_fails(
    tmp_path: Path, recipe: Recipe, tools: Path
) -> None:
    program(tools / "mmdebstrap", MMDEBSTRAP.format(end="echo no space left >&2; exit 1"))

    with pytest.raises(BuilderError, match="no space left"):
        root.make(recipe, tmp_path / "cache/key")

    assert not (tmp_path / "cache/key").exists()
    assert not (tmp_path / "cache/key.partial").exists()


MAKE = """
import os, sys
from pathlib import Path
from tools.debian.builder import root
from tools.debian.builder.recipe import Recipe
os.geteuid = lambda: 0
root.make(Recipe("forky", "20261030T080801Z", ("git",), (), 1), Path(sys.argv[1]))
"""


def test_a_run_that_is_terminated_ends_what_it_started_and_leaves_nothing(
    tmp_path: Path, tools: Path
) -> None:
    program(tools / "mmdebstrap", MMDEBSTRAP.format(end=f"echo $$ > {tmp_path}/pid; sleep 60"))
    process = subprocess.Popen(
        [sys.executable, "-c", MAKE, tmp_path / "cache/key"],
        env=os.environ | {"PYTHONPATH": ":".join(sys.path)},
    )
    started = time.monotonic()
    while not (tmp_path / "pid").exists() and time.monotonic() - started < 30:
        time.sleep(0.05)

    process.terminate()

    assert process.wait(30) == 128 + signal.SIGTERM
    child = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    assert not (tmp_path / "cache/key.partial").exists()


def test_the_lock_is_kept_by_what_a_killed_run_leaves_behind(tmp_path: Path, tools: Path) -> None:
    program(tools / "mmdebstrap", MMDEBSTRAP.format(end=f"echo $$ > {tmp_path}/pid; sleep 60"))
    process = subprocess.Popen(
        [sys.executable, "-c", MAKE, tmp_path / "cache/key"],
        env=os.environ | {"PYTHONPATH": ":".join(sys.path)},
    )
    started = time.monotonic()
    while not (tmp_path / "pid").exists() and time.monotonic() - started < 30:
        time.sleep(0.05)

    process.kill()
    process.wait(30)

    child = int((tmp_path / "pid").read_text())
    with (tmp_path / "cache/key.lock").open() as lock:
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.killpg(child, signal.SIGKILL)
        fcntl.flock(lock, fcntl.LOCK_EX)


def test_what_an_interrupted_run_left_is_not_trusted(tmp_path: Path, recipe: Recipe) -> None:
    stale = tmp_path / "cache/key.partial/usr/stale"
    stale.mkdir(parents=True)

    root.make(recipe, tmp_path / "cache/key")

    assert not (tmp_path / "cache/key/usr/stale").exists()


def test_nothing_is_removed_through_a_mount(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = tmp_path / "cache/key.partial/proc"
    stale.mkdir(parents=True)
    read = Path.read_text
    mounts = f"proc {stale} proc rw 0 0\n"
    monkeypatch.setattr(
        Path,
        "read_text",
        lambda self, *rest, **more: (
            mounts if str(self) == "/proc/self/mounts" else read(self, *rest, **more)
        ),
    )

    with pytest.raises(BuilderError, match=f"{stale} is mounted"):
        root.make(recipe, tmp_path / "cache/key")

    assert stale.is_dir()


def test_a_root_that_nobody_used_for_a_month_is_removed(tmp_path: Path, recipe: Recipe) -> None:
    for name, age in (("old", 31), ("new", 29)):
        (tmp_path / "cache" / name).mkdir(parents=True)
        lock = tmp_path / f"cache/{name}.lock"
        lock.touch()
        os.utime(lock, (0, time.time() - age * 24 * 3600))

    root.make(recipe, tmp_path / "cache/key")

    assert not (tmp_path / "cache/old").exists()
    assert (tmp_path / "cache/new").is_dir()


def test_a_second_caller_waits_for_the_first(
    tmp_path: Path, recipe: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "cache/key"
    place.parent.mkdir()
    with Path(f"{place}.lock").open("w") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        second = threading.Thread(target=root.make, args=(recipe, place))
        second.start()
        time.sleep(0.3)
        assert second.is_alive()
        (place / "made by the first").mkdir(parents=True)
    second.join(30)

    assert (place / "made by the first").is_dir()
    assert "waiting for it" in capsys.readouterr().err


def test_a_full_disk_is_noticed_before_the_download(tmp_path: Path) -> None:
    huge = Recipe("forky", "20261030T080801Z", ("git",), (), 10**12)

    with pytest.raises(BuilderError, match="MB free, 1000000000000 MB needed"):
        root.make(huge, tmp_path / "cache/key")


def test_no_mirror_is_said_with_how_to_name_one(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing listens on the discard port.
    monkeypatch.setenv("DEBIAN_MIRRORS", "http://127.0.0.1:9/debian")

    with pytest.raises(BuilderError, match=r"127.0.0.1:9/debian/dists/forky[\s\S]*DEBIAN_MIRRORS"):
        root.make(recipe, tmp_path / "cache/key")


def test_an_ordinary_user_is_told_the_line_for_root(
    tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tools / "mmdebstrap").unlink()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", str(tools))

    with pytest.raises(BuilderError, match="apt-get install --no-install-recommends -y mmdebstrap"):
        root.tools()


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("", "reading the package lists"),
        ("Need to get 7 MB of archives\nGet:1 a\nGet:2 b\n", "downloading 7 MB: 2 packages so far"),
        (
            "Need to get 7 MB of a\nGet:1 a\nGet:2 b\nUnpacking a\n",
            "unpacking: 1 of 2 packages",
        ),
        (
            "Need to get 7 MB of a\nGet:1 a\nGet:2 b\nI: extracting archives...\n",
            "unpacking: 2 packages",
        ),
        (
            "Need to get 7 MB of a\nGet:1 a\nUnpacking a\nSetting up a\n",
            "configuring: 1 of 1 packages",
        ),
    ],
)
def test_progress_says_how_far_it_is(log: str, expected: str) -> None:
    assert root.progress(log) == expected
