"""Two services share the layers that are no service's own."""

import os
from pathlib import Path

from tests.oci import layout

# The C library and what comes with it, the interpreter, and what services stand on.
SHARED = {"base", "python", "serving"}


def test_what_is_no_services_own_is_the_same_blobs_in_both_images() -> None:
    one, other = (
        {layer.name: layer.digest for layer in layout.read(Path(path)).layers}
        for path in os.environ["IMAGES"].split()
    )

    # What differs, does: else the images would be one.
    assert {name for name, digest in one.items() if other.get(name) == digest} == SHARED
