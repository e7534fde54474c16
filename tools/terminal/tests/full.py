"""Standard output on a disk that is full."""

import errno
import io


class Full(io.StringIO):
    """Takes nothing."""

    def write(self, text: str) -> int:
        """Refuses it."""
        raise OSError(errno.ENOSPC, f"No space left on device for {len(text)} characters")
