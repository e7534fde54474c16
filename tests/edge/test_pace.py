"""What holds the machine up is measured, so that it is not taken for the service's doing."""

import os
import signal
import time

from tests.edge.pace import Pace


def test_a_process_that_waits_for_its_turn_is_slower() -> None:
    with Pace() as pace:
        deadline = time.monotonic() + 30
        while not pace.turns:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        began = time.monotonic()
        os.kill(pace.pid, signal.SIGSTOP)
        time.sleep(1)
        os.kill(pace.pid, signal.SIGCONT)
        # A second at least, for a turn of 20 ms; of some turns, on average.
        while (slowdown := pace.slowdown(began)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert slowdown >= 2


def test_before_anything_is_measured_nothing_is_slower() -> None:
    with Pace() as pace:
        assert pace.slowdown(time.monotonic()) == 1
