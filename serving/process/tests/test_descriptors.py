"""Open files: the limit is raised as far as it may be, else fewer connections are held."""

import logging
import resource

import pytest

from serving.process.connection import RESERVED_CONNECTIONS
from serving.process.descriptors import OTHER_FILES, connections_within_limit

MORE = RESERVED_CONNECTIONS + OTHER_FILES
INFINITY = resource.RLIM_INFINITY


class Limit:
    """The operating system's, which may refuse to be changed."""

    def __init__(self, soft: int, hard: int, *, refuses: bool = False) -> None:
        self.now = (soft, hard)
        self.refuses = refuses

    def get(self, _: int) -> tuple[int, int]:
        return self.now

    def set(self, _: int, limits: tuple[int, int]) -> None:
        if self.refuses:
            raise ValueError("not allowed to raise maximum limit")
        self.now = limits


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "held", "raised"),
    [
        (20_000, 20_000, 10_000, 10_000, 20_000),
        (INFINITY, INFINITY, 10_000, 10_000, INFINITY),
        (1024, INFINITY, 10_000, 10_000, 10_000 + MORE),
        (1024, 1_048_576, 10_000, 10_000, 10_000 + MORE),
        (10_000 + MORE, 10_000 + MORE, 10_000, 10_000, 10_000 + MORE),
        (10_000 + MORE - 1, 10_000 + MORE - 1, 10_000, 9_999, 10_000 + MORE - 1),
        (1024, 4096, 10_000, 4096 - MORE, 4096),
        (1024, 1024, 10_000, 1024 - MORE, 1024),
        (1024, 1024, 500, 500, 1024),
        (64, 64, 500, 1, 64),
    ],
)
def test_connections_fit_into_the_open_files(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    soft: int,
    hard: int,
    wanted: int,
    held: int,
    raised: int,
) -> None:
    limit = Limit(soft, hard)
    monkeypatch.setattr(resource, "getrlimit", limit.get)
    monkeypatch.setattr(resource, "setrlimit", limit.set)
    with caplog.at_level(logging.INFO):
        assert connections_within_limit(wanted) == held
    assert limit.now == (raised, hard)
    said = f"{held} connections are held in place of MAX_CONNECTIONS={wanted}"
    assert (said in caplog.text) is (held < wanted)
    assert (f"(ulimit -n) to {wanted + MORE}" in caplog.text) is (held < wanted)


def test_a_limit_that_cannot_be_raised_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = Limit(1024, 1_048_576, refuses=True)
    monkeypatch.setattr(resource, "getrlimit", limit.get)
    monkeypatch.setattr(resource, "setrlimit", limit.set)
    assert connections_within_limit(10_000) == 1024 - MORE
