"""Where the process stands between its start and its end."""


class Lifecycle:
    """Shared by what has to behave differently at the end.

    Attributes:
        draining: set at SIGTERM: unready, and no connection is kept alive.
    """

    def __init__(self) -> None:
        self.draining = False
