"""Several locks that belong together are replaced by their new texts together."""

import contextlib
from collections.abc import Mapping
from pathlib import Path


def replace(texts: Mapping[Path, str]) -> None:
    """Writes all files or none: beside their places first, then renamed.

    Args:
        texts: what each file shall hold.

    Raises:
        OSError: one cannot be written. All hold what they held.
    """
    beside = {place: place.with_name(f".{place.name}.new") for place in texts}
    kept = {place: place.read_bytes() if place.is_file() else None for place in texts}
    moved: list[Path] = []
    try:
        for place, text in texts.items():
            beside[place].write_text(text, encoding="utf-8")
        for place, file in beside.items():
            file.replace(place)
            moved.append(place)
    except OSError:
        for place in moved:
            content = kept[place]
            if content is None:
                place.unlink()
            else:
                place.write_bytes(content)
        raise
    finally:
        for file in beside.values():
            with contextlib.suppress(OSError):
                file.unlink()
