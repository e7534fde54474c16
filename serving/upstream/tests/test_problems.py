"""What clients are told of a failed call."""

from typing import ClassVar

import pytest

from serving.upstream.errors import UpstreamFailure
from serving.upstream.problems import PROBLEMS, from_failure


class OracleFailure(UpstreamFailure):
    service: ClassVar[str] = "oracle"
    title: ClassVar[str] = "the oracle"


def test_a_failure_counts_as_processed_and_trips_unless_it_says_otherwise() -> None:
    failure = UpstreamFailure("timeout", 504, "did not answer in time")
    assert (failure.was_processed, failure.trips, failure.retry_after) == (True, True, None)
    assert str(failure) == "did not answer in time"


def test_a_failure_is_a_problem_that_names_the_service() -> None:
    problem = from_failure(OracleFailure("timeout", 504, "did not answer in time"))
    assert (problem.status_code, problem.slug) == (504, "oracle-timeout")
    assert problem.detail == "the oracle did not answer in time"


@pytest.mark.parametrize(
    ("asked", "told"), [(None, "1"), (0, "1"), (0.2, "1"), (1.6, "2"), (3600, "3600")]
)
def test_clients_are_told_when_to_come_back_in_whole_seconds(
    asked: float | None, told: str
) -> None:
    problem = from_failure(OracleFailure("busy", 503, "is busy", retry_after=asked))
    assert problem.headers == {"Retry-After": told}


def test_the_table_covers_the_failures_of_every_service() -> None:
    assert any(issubclass(OracleFailure, kind) for kind in PROBLEMS)
