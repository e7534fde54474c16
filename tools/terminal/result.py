"""What a program prints for whoever called it, so that its exit code tells whether they have it."""

import contextlib
import os
import sys
from pathlib import Path


def show(text: str) -> None:
    """Writes a result to standard output, all of it.

    Raises:
        OSError: nobody reads it any more, or the disk is full.
    """
    try:
        print(text, end="", flush=True)
    except OSError:
        # The interpreter would try what is left once more at its end, and end with 120.
        with contextlib.suppress(OSError), Path(os.devnull).open("wb") as nothing:
            os.dup2(nothing.fileno(), sys.stdout.fileno())
        raise


def tell(done: str) -> None:
    """Writes what was done, which stays done where that does not arrive: a warning says so."""
    try:
        show(done)
    except OSError as error:
        print(f"WARNING: what changed could not be printed: {error}", file=sys.stderr)
