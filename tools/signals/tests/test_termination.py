"""A program that is told to end ends what it started, and is not hurried in doing so."""

import signal

import pytest

from tools.signals.termination import held, terminable


def test_a_second_signal_does_not_hurry_what_cleans_up() -> None:
    cleaned = False
    with pytest.raises(SystemExit) as ended, terminable():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGINT)
            cleaned = True
    assert (ended.value.code, cleaned) == (128 + signal.SIGTERM, True)


def test_what_was_heard_before_is_heard_afterwards() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with terminable(), held():
        pass
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    """As SIGHUP under nohup: the terminal may be closed."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with terminable(), held():
            signal.raise_signal(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_that_is_held_comes_when_the_block_has_ended() -> None:
    reached = False
    with pytest.raises(SystemExit), terminable(), held():
        signal.raise_signal(signal.SIGTERM)
        reached = True
    assert reached
