"""The breaker counts what proves something."""

import pytest

from serving.upstream.breaker import Breaker
from serving.upstream.errors import UpstreamFailure


def breaker(failures: int = 2) -> Breaker:
    return Breaker(
        failure_threshold=failures, recovery_timeout=60, expected_exception=UpstreamFailure
    )


def call(breaker: Breaker, error: BaseException | None = None) -> None:
    with breaker:
        if error is not None:
            raise error


FAILURE = UpstreamFailure("timeout", 504, "did not answer in time")


def fail(breaker: Breaker, error: BaseException = FAILURE) -> None:
    with pytest.raises(type(error)):
        call(breaker, error)


def test_failures_in_a_row_open_it() -> None:
    one = breaker()
    fail(one)
    assert one.state == "closed"
    fail(one)
    assert one.state == "open"


def test_a_success_between_failures_starts_the_count_again() -> None:
    one = breaker()
    fail(one)
    call(one)
    fail(one)
    assert one.state == "closed"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError()], ids=["left", "defect"])
def test_a_call_that_proved_nothing_changes_nothing(error: BaseException) -> None:
    one = breaker()
    fail(one)
    fail(one, error)
    assert one.failure_count == 1
    fail(one)
    assert one.state == "open"
