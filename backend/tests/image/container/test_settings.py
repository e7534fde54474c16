"""What is wrong with the settings is said before the service listens, with exit code 78."""

import pytest

from tests.container.bundle import SecurityContext
from tests.container.runtime import Container, Runtime, Unpacked

SECONDS = 20.0


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"PORT": "http"}, "PORT: got 'http'"),
        ({"ENVIRONMENT": "prod"}, "API_KEYS: got nothing; expected at least one key"),
        ({"DATABASE_URL": "mysql://secret@host/x"}, "DATABASE_URL: got ********; expected"),
        ({"WORKERS": "2"}, "WORKERS: got 2; expected 1 with SQLite"),
        ({"DATABASE_PASSWORD_FILE": "/no/such"}, "DATABASE_PASSWORD_FILE: got '/no/such'"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL: got 'loud'"),
    ],
)
def test_bad_settings_are_named(
    runtime: Runtime,
    image: Unpacked,
    context: SecurityContext,
    environment: dict[str, str],
    expected: str,
) -> None:
    container: Container = runtime.start(image, context, environment=environment)
    try:
        code = container.wait(SECONDS)
    finally:
        container.remove()

    assert code == 78, container.log
    assert expected in container.stderr
    assert "secret" not in container.log
    assert "Traceback" not in container.log
