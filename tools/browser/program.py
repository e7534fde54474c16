"""Debian's headless Chromium out of a folder that its packages are unpacked to.

It is run by the folder's own dynamic loader, with the folder's fonts and an empty HOME, and uses
nothing of the machine's but its kernel and sh. It needs no root. Chromium's own sandbox is off:
what is shown is ours, and Bazel's sandbox is around it.
"""

import contextlib
import fcntl
import os
import shlex
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from tools.browser.error import BrowserError

_SECONDS = 1.0
_LOADER = "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_FOLDER = "usr/lib/chromium"
_PROGRAM = "chromium-headless-shell"
_FONTS = """\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir>{fonts}</dir>
  <cachedir>{cache}</cachedir>
  {aliases}
</fontconfig>
"""
_ALIAS = "<alias><family>{}</family><prefer><family>{}</family></prefer></alias>"
_FAMILIES = {
    "monospace": "DejaVu Sans Mono",
    "sans-serif": "DejaVu Sans",
    "system-ui": "DejaVu Sans",
}
_OPTIONS = (
    "--remote-debugging-pipe",
    "--no-sandbox",
    # Its helpers are started one by one by `--browser-subprocess-path`.
    "--no-zygote",
    # Pages that are open one after the other share one: it takes longer to start than a page.
    "--renderer-process-limit=1",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-breakpad",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--metrics-recording-only",
    "--no-first-run",
    "--enable-logging=stderr",
    "--hide-scrollbars",
    # A name leads nowhere: a page that needs another host is seen without what it has from there.
    "--host-resolver-rules=MAP * ~NOTFOUND",
)


class Process:
    """Chromium, running; `commands` and `answers` are its ends of the debugging pipe.

    Whoever starts it ends it.
    """

    def __init__(self, root: Path, scratch: Path) -> None:
        """Starts it from the folder `root`; what it writes goes below `scratch`, an empty folder.

        Raises:
            BrowserError: it is not there, or cannot be started.
        """
        self.log = scratch / "chromium.log"
        # Negative for a signal; None while it runs.
        self._code: int | None = None
        command = [str(_wrapper(root.absolute(), scratch)), *_OPTIONS]
        command += [f"--user-data-dir={scratch / 'data'}", "about:blank"]
        # Chromium reads commands from 3 and answers on 4.
        read, self.commands = _pipe()
        self.answers, write = _pipe()
        self.log.touch()
        try:
            self.pid = os.posix_spawn(
                command[0],
                command,
                _environment(scratch),
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, os.fspath(self.log), os.O_WRONLY | os.O_APPEND, 0),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                    (os.POSIX_SPAWN_DUP2, read, 3),
                    (os.POSIX_SPAWN_DUP2, write, 4),
                ],
                setpgroup=0,
            )
        except OSError as error:
            os.close(self.commands)
            os.close(self.answers)
            raise BrowserError(f"{command[0]} cannot be started: {error}") from None
        finally:
            os.close(read)
            os.close(write)

    def said(self) -> str:
        """How it has ended, where it has, and the last of what it has written to standard error."""
        # Its pipes are closed a moment before it is gone.
        limit = time.monotonic() + _SECONDS
        while self._code is None and time.monotonic() < limit:
            self._look(os.WNOHANG)
            time.sleep(0.02)
        end = "" if self._code is None else f"exit code {self._code}\n"
        return (end + self.log.read_text(errors="replace")[-2000:]).strip()

    def end(self) -> None:
        """Ends it and the helpers that it has started."""
        os.close(self.commands)
        os.close(self.answers)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._look(0)

    def _look(self, options: int) -> None:
        if self._code is None:
            pid, status = os.waitpid(self.pid, options)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)


def _pipe() -> tuple[int, int]:
    """A pipe whose ends are above the numbers that Chromium has them by."""
    ends = os.pipe()
    above = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return above[0], above[1]


def _environment(scratch: Path) -> dict[str, str]:
    home = scratch / "home"
    home.mkdir()
    return {
        "DBUS_SESSION_BUS_ADDRESS": "disabled:",
        "FONTCONFIG_FILE": str(scratch / "fonts.conf"),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "TMPDIR": str(scratch),
        "TZ": "UTC",
    }


def _wrapper(root: Path, scratch: Path) -> Path:
    """What starts Chromium, and by which it starts its helpers."""
    program = root / _FOLDER / _PROGRAM
    if not program.is_file():
        raise BrowserError(f"{program} is missing: expected Debian's chromium-headless-shell")
    # It looks for its resources beside /proc/self/exe, which is the loader.
    beside = scratch / "chromium"
    beside.mkdir()
    for each in program.parent.iterdir():
        (beside / each.name).symlink_to(each)
    loader = beside / "loader"
    loader.write_bytes((root / _LOADER).read_bytes())
    loader.chmod(0o755)
    aliases = "\n  ".join(_ALIAS.format(*each) for each in _FAMILIES.items())
    (scratch / "fonts.conf").write_text(
        _FONTS.format(fonts=root / "usr/share/fonts", cache=scratch / "fonts", aliases=aliases)
    )
    wrapper = scratch / "start"
    libraries = root / _LIBRARIES
    words: Sequence[str] = [
        *(str(loader), "--library-path", f"{libraries}:{libraries}/pulseaudio", str(program)),
        f"--browser-subprocess-path={wrapper}",
    ]
    wrapper.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    wrapper.chmod(0o755)
    return wrapper
