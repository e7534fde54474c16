"""What the store of todos can refuse, in its own words; routes turn it into HTTP."""

from uuid import UUID


class TodoMissing(Exception):  # noqa: N818  (a state, in the reader's words)
    """No todo has this id."""

    def __init__(self, todo_id: UUID) -> None:
        super().__init__(f"no todo has the id {todo_id}")


class StaleVersion(Exception):  # noqa: N818
    """The todo is not, or no longer, at a version that the caller accepts.

    Attributes:
        version: the one it is at; `None` where there is no todo.
        accepts: what the caller accepts.
    """

    def __init__(self, todo_id: UUID, version: int | None, accepts: object) -> None:
        super().__init__(
            f"no todo has the id {todo_id}"
            if version is None
            else f"the todo {todo_id} is at version {version}"
        )
        self.version = version
        self.accepts = accepts


class BadCursor(Exception):  # noqa: N818
    """A cursor that no list has given out, or one of another order."""
