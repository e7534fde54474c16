"""The open files that a process may have, against the connections that it would hold.

A process that runs out of them cannot accept, and the event loop tries again and again: it is
better to hold fewer connections and refuse the others.
"""

import contextlib
import logging
import resource

from serving.process.connection import RESERVED_CONNECTIONS

# The database's connections, those to other services, the log, the listening socket.
OTHER_FILES = 128

logger = logging.getLogger(__name__)


def connections_within_limit(wanted: int) -> int:
    """How many connections can be held, after raising the limit of open files as far as allowed."""
    needed = wanted + RESERVED_CONNECTIONS + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        soft = raised
    if soft >= needed:
        return wanted
    held = max(1, soft - RESERVED_CONNECTIONS - OTHER_FILES)
    logger.info(
        "at most %d files may be open: %d connections are held in place of MAX_CONNECTIONS=%d; "
        "raise the limit (ulimit -n) to %d",
        soft,
        held,
        wanted,
        needed,
    )
    return held
