"""What this service is called."""

from examples.hello import __version__
from serving.identity import Identity

IDENTITY = Identity(name="hello", title="Hello", module="examples.hello", version=__version__)
