"""Identifiers that rise with time (RFC 9562 section 5.7)."""

import time

import pytest

from serving.data.ids import new_id


def test_ids_are_version_7_of_the_standards_variant() -> None:
    made = [new_id() for _ in range(100)]
    assert {one.version for one in made} == {7}
    assert {one.variant for one in made} == {"specified in RFC 4122"}
    assert len(set(made)) == 100


def test_ids_begin_with_the_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_123_456_789)
    assert new_id().int >> 80 == 1_700_000_000_123


def test_later_ids_are_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_700_000_000_000_000_000
    made = []
    for later in range(10):
        monkeypatch.setattr(time, "time_ns", lambda at=now + later * 1_000_000: at)
        made.append(new_id())
    assert made == sorted(made)
