import contextlib
from collections.abc import Iterator

import uvicorn

from backend.app import create_app
from backend.settings import Settings


class Server(uvicorn.Server):
    """uvicorn's server, which ends with exit code 0 after a signal it has obeyed."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGINT and SIGTERM without raising them again afterwards."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(super().capture_signals())
            stack.callback(self._captured_signals.clear)
            yield


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish what was begun and return."""
    config = uvicorn.Config(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        timeout_graceful_shutdown=10,
    )
    Server(config).run()
