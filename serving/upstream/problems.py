"""What clients see of a call that failed."""

from serving.upstream.errors import UpstreamFailure
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
