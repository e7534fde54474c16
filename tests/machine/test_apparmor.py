"""The kernel enforces the service's AppArmor profile: what it must not do fails.

Where the profile refuses, nothing else would: these containers have root's rights, every
capability, a writable root file system and all of /proc, and no seccomp filter.
"""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from deploy import definition
from tests.container.bundle import SecurityContext
from tests.container.needs import program
from tests.container.runtime import Runtime, Unpacked
from tests.machine.fixtures import PYTHON, Refusals, load
from tests.machine.kernel_log import KernelLog

SERVICE = definition.read(Path(os.environ["SERVICE"]))
SOURCE = f"/app/{SERVICE['module'].replace('.', '/')}/__init__.py"
STOP_SECONDS = 10.0
# All that capabilities(7) knows.
CAPABILITIES = (
    "AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE "
    "DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN "
    "MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON SETFCAP SETGID "
    "SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE "
    "SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG WAKE_ALARM"
)


@pytest.fixture(scope="module", autouse=True)
def nothing_refused() -> None:
    """Stands in for the plugin's: here tests are refused things, and look which."""


@dataclass(frozen=True)
class Attempt:
    """Something that only the profile forbids, and how the kernel's log tells of it."""

    code: str
    operation: str
    # Of a file, a capability or a family of sockets.
    name: str = ""
    error: str = "PermissionError"

    def __str__(self) -> str:
        return f"{self.operation} {self.name}".strip()


# Runs each of the programs given as a JSON list in a process of its own.
EACH = """
import json, os, sys
outcomes = []
for code in json.loads(sys.argv[1]):
    reader, writer = os.pipe()
    if os.fork() == 0:
        raised = ""
        try:
            exec(code, {})
        except BaseException as error:
            raised = repr(error)
        os.write(writer, raised.encode())
        os._exit(0)
    os.close(writer)
    os.wait()
    outcomes.append(os.read(reader, 4096).decode())
print(json.dumps(outcomes))
"""
LIBC = "import ctypes, os; libc = ctypes.CDLL(None, use_errno=True)\n"
# Raises what a system call's error number stands for.
CHECK = """
def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
"""
PTRACE = """
import signal
child = os.fork()
if child == 0:
    signal.pause()
try:
    check(libc.ptrace(16, child, 0, 0))
finally:
    os.kill(child, 9)
    os.wait()
"""
COPY = "import shutil, subprocess; "
ATTEMPTS = [
    Attempt(
        COPY
        + f"shutil.copy('{PYTHON}', '/tmp/program'); subprocess.run(['/tmp/program', '-c', ''])",
        "exec",
        "/tmp/program",
    ),
    Attempt(
        "import subprocess; subprocess.run(['/app/program', '-c', ''])", "exec", "/app/program"
    ),
    Attempt(
        "import ctypes, shutil; shutil.copy('/usr/lib/x86_64-linux-gnu/libz.so.1', '/tmp/library')"
        "; ctypes.CDLL('/tmp/library')",
        "file_mmap",
        "/tmp/library",
        "failed to map segment",
    ),
    Attempt("open('/app/written', 'w')", "mknod", "/app/written"),
    Attempt(f"open('{SOURCE}', 'a')", "open", SOURCE),
    Attempt("open('/etc/written', 'w')", "mknod", "/etc/written"),
    Attempt("open('/written', 'w')", "mknod", "/written"),
    Attempt("open('/secret')", "open", "/secret"),
    Attempt("open('/proc/kcore', 'rb').read(16)", "open", "/proc/kcore"),
    Attempt("open('/proc/sysrq-trigger', 'w')", "open", "/proc/sysrq-trigger"),
    Attempt("open('/proc/sys/kernel/core_pattern', 'r+')", "open", "/proc/sys/kernel/core_pattern"),
    Attempt(
        "open('/sys/firmware/acpi/tables/APIC', 'rb')", "open", "/sys/firmware/acpi/tables/APIC"
    ),
    Attempt(
        LIBC + CHECK + "check(libc.mount(b'none', b'/tmp', b'tmpfs', 0, None))", "mount", "/tmp/"
    ),
    Attempt(LIBC + CHECK + PTRACE, "ptrace"),
    Attempt("import os; os.unshare(os.CLONE_NEWUSER)", "userns_create"),
    Attempt("import os; os.unshare(os.CLONE_NEWNET)", "capable", "sys_admin"),
    Attempt("import os; os.chown('/tmp', 1, 1)", "chown", "/tmp/"),
    Attempt("import socket as s; s.socket(s.AF_INET, s.SOCK_RAW, 1)", "create", "inet"),
    Attempt("import socket as s; s.socket(s.AF_PACKET, s.SOCK_RAW)", "create", "packet"),
    Attempt("open('/proc/1/attr/current', 'w')", "open", "/proc/1/attr/current"),
]


@pytest.fixture(scope="module")
def writable(copies: Callable[[str], Unpacked]) -> Unpacked:
    """The image once more, for containers that may change it."""
    image = copies("image")
    (image.root / "secret").write_text("of somebody else\n")
    program = image.root / "app/program"
    program.write_bytes((image.root / PYTHON.lstrip("/")).read_bytes())
    program.chmod(0o755)
    return image


@pytest.fixture(scope="module")
def mighty(context: SecurityContext) -> SecurityContext:
    """Everything that a container can be allowed, under the service's profile."""
    return replace(
        context,
        user="0:0",
        read_only_root=False,
        capabilities=[f"CAP_{name}" for name in CAPABILITIES.split()],
        no_new_privileges=False,
        seccomp=None,
        masked=False,
        tmpfs={},
    )


@dataclass(frozen=True)
class Outcomes:
    """By attempt, the name of the exception that ended it, "" for success; and what was logged."""

    raised: dict[Attempt, str]
    told: list[tuple[str, str]]


def attempted(runtime: Runtime, image: Unpacked, context: SecurityContext) -> dict[Attempt, str]:
    codes = json.dumps([attempt.code for attempt in ATTEMPTS])
    container = runtime.start(
        image, context, name="attempts", entrypoint=[PYTHON, "-c", EACH, codes]
    )
    try:
        assert container.wait(60) == 0, container.log
        return dict(zip(ATTEMPTS, json.loads(container.stdout), strict=True))
    finally:
        container.remove()


@pytest.fixture(scope="module")
def confined(
    runtime: Runtime, writable: Unpacked, mighty: SecurityContext, kernel_log: KernelLog
) -> Outcomes:
    refusals = Refusals(mighty.apparmor, kernel_log)
    raised = attempted(runtime, writable, mighty)
    told = [
        (one["operation"], one.get("name") or one.get("capname") or one.get("family", ""))
        for one in refusals.all()
    ]
    return Outcomes(raised, told)


@pytest.fixture(scope="module")
def unconfined(
    runtime: Runtime, writable: Unpacked, mighty: SecurityContext, confined: Outcomes
) -> dict[Attempt, str]:
    # After the others, of which none has left anything.
    return attempted(runtime, writable, replace(mighty, apparmor=""))


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=str)
def test_the_profile_forbids_it_and_the_log_tells(confined: Outcomes, attempt: Attempt) -> None:
    assert attempt.error in confined.raised[attempt]
    assert (attempt.operation, attempt.name) in confined.told


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=str)
def test_without_the_profile_it_would_work(
    unconfined: dict[Attempt, str], attempt: Attempt
) -> None:
    assert unconfined[attempt] == ""


def test_a_node_that_names_its_runtime_can_still_signal_a_container(
    runtime: Runtime, image: Unpacked, context: SecurityContext, refusals: Refusals
) -> None:
    # Debian's and Ubuntu's packages load a profile that confines runc to nothing, but gives it a
    # name: it is not "unconfined" any more.
    load(Path("/etc/apparmor.d/runc"))
    runc = program("runc", "runc")
    container = runtime.start(
        image, context, name="signalled", entrypoint=[PYTHON, "-c", "import signal; signal.pause()"]
    )
    try:
        root = container.folder.parent / "runc"
        subprocess.run([runc, f"--root={root}", "kill", container.name, "KILL"], check=True)
        assert container.wait(STOP_SECONDS) == 128 + signal.SIGKILL
    finally:
        container.remove()
    assert refusals.all() == []
