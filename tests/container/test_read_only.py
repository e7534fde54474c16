"""Any service's image has nothing that can be written to but memory, and no shell."""

import json

import pytest

from tests.container.bundle import SecurityContext
from tests.container.runtime import Container

# Tries to make a file in every folder that the service can reach.
WRITE_EVERYWHERE = """
import json, os
written = []
for folder, folders, _ in os.walk("/"):
    if folder == "/":
        folders[:] = [name for name in folders if name not in ("proc", "sys")]
    try:
        with open(os.path.join(folder, f"written-by-{os.getuid()}"), "w"):
            written.append(folder)
    except OSError:
        pass
print(json.dumps(written))
"""


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        # Memory, all of it.
        ("", {"/tmp", "/dev/shm", "/dev/mqueue"}),
        # Root owns the files, and so only the mount refuses; /dev is the runtime's.
        ("0:0", {"/tmp", "/dev/shm", "/dev/mqueue", "/dev"}),
    ],
)
def test_the_root_file_system_refuses_writes(
    service: Container, context: SecurityContext, user: str, expected: set[str]
) -> None:
    if context.apparmor:
        # The profile lets nobody look into /dev.
        expected = {"/tmp"}
    done = service.execute("/usr/bin/python3.13", "-c", WRITE_EVERYWHERE, user=user)

    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == expected


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash", "/usr/bin/sh", "/busybox/sh", "sh"])
def test_there_is_no_shell(service: Container, shell: str) -> None:
    done = service.execute(shell, "-c", "true")

    assert done.returncode != 0
    assert "no such file" in done.stderr or "not found" in done.stderr, done.stderr
