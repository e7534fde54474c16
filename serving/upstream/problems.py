"""What clients see of a call that failed."""

from collections.abc import Sequence

from serving.upstream.errors import UpstreamFailure
from serving.web.catalogue import ProblemType
from serving.web.problems import Problem, Translations


def from_failure(failure: UpstreamFailure) -> Problem:
    """502, 503 or 504 with Retry-After, in seconds."""
    seconds = max(1, round(failure.retry_after or 1))
    return Problem(
        failure.status,
        f"{failure.service}-{failure.outcome}",
        f"{failure.title} {failure}",
        headers={"Retry-After": str(seconds)},
        warns=True,
    )


PROBLEMS: Translations = {UpstreamFailure: from_failure}

_LATER = "Try again after `Retry-After`."
_OPERATOR = "Try again after `Retry-After`; if it stays, tell the operator."
# What can happen with a call: status, what the other service has done, and what to do.
_OUTCOMES = {
    "broken-answer": (502, "broke off its answer, or sent one that cannot be read", _OPERATOR),
    "busy": (503, "has all the calls that it may have", _LATER),
    "circuit-open": (503, "has failed too often and is left alone for a while", _LATER),
    "error-status": (502, "answered with an error", _OPERATOR),
    "rate-limited": (503, "has had too many requests", _LATER),
    "timeout": (504, "did not answer in time", _LATER),
    "too-large": (502, "answered with too much", _OPERATOR),
    "unavailable": (503, "is unavailable", _LATER),
    "unreachable": (503, "cannot be reached", _LATER),
}


def types(failure: type[UpstreamFailure]) -> Sequence[ProblemType]:
    """The types of problem that calls of one service may become."""
    title = failure.title[0].upper() + failure.title[1:]
    return tuple(
        ProblemType(
            slug=f"{failure.service}-{outcome}",
            status=status,
            meaning=f"{title} {did}.",
            remedy=remedy,
        )
        for outcome, (status, did, remedy) in _OUTCOMES.items()
    )
