"""Entity tags: strong and weak comparison (RFC 9110 section 8.8.3.2)."""

import pytest
from fastapi import Request

from serving.web.etag import condition, etag, joined, matches, matches_weakly


def test_the_tag_of_a_version_is_quoted() -> None:
    assert etag(3) == '"3"'


@pytest.mark.parametrize(
    ("header", "strongly", "weakly"),
    [
        ('"3"', True, True),
        ('"2", "3"', True, True),
        ('"2","3"', True, True),
        ("*", True, True),
        ('W/"3"', False, True),
        ('"2", W/"3"', False, True),
        ('"33"', False, False),
        ('"2" , "3"', True, True),
        ('"2",, "3",', True, True),
        (" * ", True, True),
        ('"abc"', False, False),
        ('"a,b", "3"', True, True),
        ('"x, "3"', False, False),
        ('"2" "3"', False, False),
        ('w/"3"', False, False),
        ("3", False, False),
        ("", False, False),
    ],
)
def test_a_header_names_a_version(header: str, strongly: bool, weakly: bool) -> None:
    assert matches(header, 3) is strongly
    assert matches_weakly(header, 3) is weakly


def test_if_match_is_a_question_about_a_version() -> None:
    asked = condition('"3"')
    assert asked is not None
    assert (asked(3), asked(4), str(asked)) == (True, False, '"3"')


def test_without_if_match_nothing_is_demanded() -> None:
    assert condition(None) is None


def test_a_condition_in_several_lines_is_one_list() -> None:
    headers = [(b"if-match", b'"1"'), (b"accept", b'"2"'), (b"if-match", b'"3", "4"')]
    request = Request({"type": "http", "headers": headers})
    assert joined(request, "if-match") == '"1", "3", "4"'
    asked = condition('"1"', request)
    assert asked is not None
    assert [asked(version) for version in range(1, 5)] == [True, False, True, True]
