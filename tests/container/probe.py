"""What a probe of health answers, asked as cheaply as a node's kubelet does.

httpx takes ten times as long for a single request: it reads every certificate authority first. Who
asks over and over while a service starts takes the time from the service, where both share one
processor.
"""

import http.client
from urllib.parse import urlsplit

_SECONDS = 5.0


def status(url: str, seconds: float = _SECONDS) -> int:
    """The status code of a GET over HTTP/1.1; 0 where nobody answers in time."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=seconds)
    try:
        connection.request("GET", parts.path or "/")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
