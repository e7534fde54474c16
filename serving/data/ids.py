"""Identifiers that rise with time."""

import os
import time
from uuid import UUID


def new_id() -> UUID:
    """A UUID of version 7 (RFC 9562 section 5.7): time-ordered, so that indexes grow at one end."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10))
    high = (milliseconds << 16) | 0x7000 | (random >> 68)
    low = (random & ((1 << 62) - 1)) | (1 << 63)
    return UUID(int=(high << 64) | low)
