"""Two services share the layers that are no service's own."""

import os
from pathlib import Path

from tests.oci import layout

# The C library and what comes with it, and the interpreter.
SHARED = 2


def test_base_and_python_are_the_same_blobs_in_both_images() -> None:
    one, other = (layout.read(Path(path)) for path in os.environ["IMAGES"].split())

    digests = [layer.digest for layer in one.layers]
    assert digests[:SHARED] == [layer.digest for layer in other.layers][:SHARED]
    # What differs, for else the images would be one.
    assert digests[SHARED:] != [layer.digest for layer in other.layers][SHARED:]
