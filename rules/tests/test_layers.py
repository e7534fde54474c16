"""A layer that has wheels packed for itself is the one that takes them as they are packed."""

import os
import tarfile
from pathlib import Path


def test_wheels_have_the_same_bytes_whoever_had_them_packed() -> None:
    own, shared = Path(os.environ["OWN"]), Path(os.environ["SHARED"])

    assert own.read_bytes() == shared.read_bytes()
    with tarfile.open(own) as archive:
        suffixes = {Path(name).suffix for name in archive.getnames()}
    assert {".py", ".pyc", ".so"} <= suffixes
