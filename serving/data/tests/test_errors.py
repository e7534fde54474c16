"""What the errors of drivers mean."""

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from serving.data.errors import (
    DatabaseDown,
    DatabaseError,
    DatabaseSlow,
    is_outage_state,
    translated,
)
from serving.data.problems import PROBLEMS


class DriverError(Exception):
    def __init__(self, text: str = "", sqlstate: str | None = None) -> None:
        super().__init__(text)
        if sqlstate is not None:
            self.sqlstate = sqlstate


def wrapped(
    error: Exception, kind: type[DBAPIError] = DBAPIError, *, is_given_up: bool = False
) -> DBAPIError:
    return kind("SELECT 1", {}, error, connection_invalidated=is_given_up)


@pytest.mark.parametrize(
    ("state", "is_outage"),
    [
        ("08006", True),
        # A full disk, and no connection left.
        ("53100", True),
        ("53300", True),
        ("57P01", True),
        ("25006", True),
        ("57014", False),
        ("42P01", False),
        ("23505", False),
        (None, False),
    ],
)
def test_states_of_connection_and_server_are_outages(state: str | None, is_outage: bool) -> None:
    assert is_outage_state(state) is is_outage


def test_a_state_of_the_server_is_an_outage() -> None:
    assert isinstance(translated(wrapped(DriverError(sqlstate="57P01"))), DatabaseDown)


def test_a_cancelled_statement_and_a_locked_file_are_slow() -> None:
    for error in (DriverError(sqlstate="57014"), DriverError("database is locked")):
        assert isinstance(translated(wrapped(error)), DatabaseSlow)


def test_a_connection_that_sqlalchemy_gave_up_is_an_outage() -> None:
    assert isinstance(translated(wrapped(DriverError(), is_given_up=True)), DatabaseDown)


def test_an_error_caused_by_the_network_is_an_outage() -> None:
    error = DriverError()
    error.__cause__ = ConnectionResetError()
    assert isinstance(translated(wrapped(error, OperationalError)), DatabaseDown)


@pytest.mark.parametrize(
    "error",
    [
        wrapped(DriverError(sqlstate="42601")),
        wrapped(DriverError("no such table: x"), OperationalError),
        wrapped(DriverError(sqlstate="08006"), IntegrityError),
    ],
    ids=["syntax", "missing table", "constraint"],
)
def test_a_defect_of_the_statement_stays_what_it_is(error: DBAPIError) -> None:
    assert translated(error) is None


def test_every_error_of_the_room_has_a_problem() -> None:
    kinds = DatabaseError.__subclasses__()
    assert len(kinds) == 3
    for kind in kinds:
        assert PROBLEMS[kind](kind("x")).status_code == 503
