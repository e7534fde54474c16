"""Any service ends when it is told to. The last of a service's modules: the others share it."""

import signal

from tests.container.runtime import Container

STOP_SECONDS = 5.0


def test_it_ends_cleanly_on_sigterm(service: Container) -> None:
    service.signal(signal.SIGTERM)

    assert service.wait(STOP_SECONDS) == 0, service.log
