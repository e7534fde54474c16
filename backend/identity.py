"""What this service is called."""

from backend import __version__
from serving.identity import Identity

IDENTITY = Identity(name="todo-backend", title="Todo", module="backend", version=__version__)
