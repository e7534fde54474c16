"""What a kernel's log says of refusals."""

import os
from pathlib import Path

import pytest

from tests.machine import kernel_log
from tests.machine.kernel_log import KernelLog, denial

REFUSED = (
    '5,812,9000000,-;audit: type=1400 audit(1763765000.100:21): apparmor="DENIED" '
    'operation="open" class="file" profile="todo-backend" name="/dev/full" pid=93 '
    'comm="python3.13" requested_mask="r" denied_mask="r" fsuid=65532 ouid=0\n'
)
LOADED = '5,3,1,-;audit: type=1400 audit(1.0:2): apparmor="STATUS" operation="profile_load"\n'


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> int:
    """Stands for /dev/kmsg; what is written to it is one record a write."""
    reader, writer = os.pipe()
    monkeypatch.setattr(kernel_log, "KMSG", Path(f"/proc/self/fd/{reader}"))
    monkeypatch.setattr(os, "lseek", lambda *_: 0)
    return writer


def test_the_fields_of_a_refusal_are_read() -> None:
    found = denial(REFUSED)

    assert found is not None
    assert found["operation"] == "open"
    assert found["name"] == "/dev/full"
    assert found["fsuid"] == "65532"


def test_other_messages_are_no_refusals() -> None:
    assert denial(LOADED) is None
    assert denial("6,1,0,-;Linux version 6.12") is None


def test_refusals_are_taken_once(pipe: int) -> None:
    with KernelLog() as log:
        os.write(pipe, REFUSED.encode())

        assert [one["name"] for one in log.take()] == ["/dev/full"]
        assert log.take() == []


def test_a_refusal_that_never_comes_is_not_waited_for_without_end(
    pipe: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_log, "_SECONDS", 0.1)
    with KernelLog() as log, pytest.raises(TimeoutError, match="it told of"):
        log.until(lambda _: False)
