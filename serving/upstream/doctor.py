"""What `doctor` looks at in a service that is called: whether it answers, and takes the key."""

import time
from collections.abc import Sequence

from serving.upstream.client import Peer
from serving.watch.doctor import Examination, Finding

_SECONDS = 5.0


def peer(target: Peer, unset: str) -> tuple[str, Examination]:
    """The examination. What answers badly is a warning: calls of it fail, the service lives.

    Args:
        target: where it is and what it is sent.
        unset: what is said where it is nowhere.
    """
    subject = target.name

    async def look() -> Sequence[Finding]:
        if target.base_url is None:
            return [Finding(subject=subject, verdict="ok", text=unset)]
        import ssl  # noqa: PLC0415

        import httpx  # noqa: PLC0415

        began = time.perf_counter()
        try:
            async with (
                httpx.AsyncClient(
                    base_url=f"{target.base_url}/",
                    headers={**target.headers, **target.credentials()},
                    timeout=_SECONDS,
                    verify=ssl.create_default_context(),
                    trust_env=False,
                ) as client,
                client.stream("GET", target.probe_path) as response,
            ):
                status = response.status_code
        except (httpx.HTTPError, OSError) as error:
            text = f"{type(error).__name__}: {error}; look at its URL, and the network policy"
            return [Finding(subject=subject, verdict="warning", text=text)]
        milliseconds = (time.perf_counter() - began) * 1000
        text = f"answers with {status} in {milliseconds:.0f} ms"
        if status in {401, 403}:
            text += "; it does not take the key"
        healthy = status < 500 and status not in {401, 403}  # noqa: PLR2004
        return [Finding(subject=subject, verdict="ok" if healthy else "warning", text=text)]

    return subject, look
