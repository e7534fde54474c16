"""How patient the tests are: on a processor made of software everything takes longer."""

import os

VARIABLE = "CONTAINER_TEST_PATIENCE"


def patient(seconds: float) -> float:
    """A limit of time for a test; the service's own limits stay what they are."""
    return seconds * float(os.environ.get(VARIABLE, "1"))
