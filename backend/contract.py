"""What problems mean here, for the OpenAPI document."""

from typing import Any

from serving.web import contract

ABOUT = {
    404: "There is no such todo.",
    409: "The first request with this Idempotency-Key is not answered yet.",
    412: "The todo has changed: its ETag is not in If-Match.",
    502: "The AI service gave no usable answer.",
    503: "The database or the AI service is unavailable, or busy.",
    504: "The AI service did not answer in time.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of an operation, as `serving.web.contract.problems` makes them."""
    return contract.problems(*statuses, about=ABOUT)
