"""A warning that a test does not expect fails it."""

import json

import pytest

from tools.dev import complaints

INFO = json.dumps({"level": "info", "message": "listening"})
WARNING = json.dumps({"level": "warning", "message": "database-down: OSError"})
ERROR = json.dumps({"level": "error", "message": "unhandled error"})


@pytest.mark.complains("one", "two")
@pytest.mark.complains("three")
def test_a_test_says_what_it_expects_by_marks(request: pytest.FixtureRequest) -> None:
    assert sorted(complaints.expected(request.node)) == ["one", "three", "two"]


def test_warnings_and_worse_are_complaints() -> None:
    assert complaints.found(f"{INFO}\n{WARNING}\nno JSON\n3\n{ERROR}") == [WARNING, ERROR]


def test_what_was_expected_is_no_failure() -> None:
    complaints.none_but(["database-d..n"], [WARNING])


def test_what_was_not_expected_fails_with_the_line() -> None:
    with pytest.raises(AssertionError, match=r"but \['database-down'\].*\n.*unhandled error"):
        complaints.none_but(["database-down"], [WARNING, ERROR])
