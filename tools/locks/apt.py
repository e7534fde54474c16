"""What this machine's apt is configured with: mirrors, the snapshot archive, proxies."""

import base64
import http.client
import os
import re
import subprocess
import urllib.request
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

from tools.locks.error import LockError

# Settings that say how to reach a mirror; the rest of the person's apt configuration (hooks,
# pinning, recommends) must not change what a root is made of.
_TRANSPORT = (
    "Acquire::Check-Date",
    "Acquire::Check-Valid-Until",
    "Acquire::ForceIPv4",
    "Acquire::ForceIPv6",
    "Acquire::Retries",
    "Acquire::ftp",
    "Acquire::http",
    "Acquire::https",
)


def _output(command: list[str]) -> str:
    environment = os.environ | {"LC_ALL": "C"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    except FileNotFoundError:
        raise LockError(
            f"{command[0]} is missing: without BAZEL_REAL, tools/bazel needs Debian or a "
            "derivative. Elsewhere install Bazelisk and run `bazel` in this folder."
        ) from None
    except subprocess.CalledProcessError as error:
        raise LockError(f"{' '.join(command)} failed:\n{error.stderr.strip()}") from None
    return done.stdout


def releases(listing: str) -> list[tuple[str, str]]:
    r"""Base URI and suite of each archive in what `apt-get update --print-uris` prints.

    >>> releases("'http://mirror/debian/dists/trixie/InRelease' mirror_debian 0 \n")
    [('http://mirror/debian', 'trixie')]
    """
    return re.findall(r"^'(\S+?)/+dists/(\S+)/InRelease'", listing, re.MULTILINE)


def mirrors(security: bool = False) -> list[str]:
    """Base URIs of the mirrors of Debian's main or security archive in apt's sources.

    `DEBIAN_MIRRORS` or `DEBIAN_SECURITY_MIRRORS` in the environment (URIs with spaces between)
    stands in their place. Asking what apt would update needs no lists, no lock and no network.
    """
    variable = "DEBIAN_SECURITY_MIRRORS" if security else "DEBIAN_MIRRORS"
    if chosen := os.environ.get(variable):
        return [uri.rstrip("/") for uri in chosen.split()]
    found = releases(_output(["apt-get", "update", "--print-uris"]))
    return list(
        dict.fromkeys(uri for uri, suite in found if suite.endswith("-security") == security)
    )


def snapshots(snapshot: str) -> list[str]:
    """Base URI of Debian's snapshot archive at a time, where this machine's apt knows one.

    apt 2.7.11 and later carry it as `Acquire::Snapshots::URI::Origin::Debian`.
    """
    template = _output(
        ["apt-config", "dump", "--format", "%v", "Acquire::Snapshots::URI::Origin::Debian"]
    ).strip()
    return [template.replace("@SNAPSHOTID@", snapshot).rstrip("/")] if template else []


def transport() -> list[str]:
    """The person's proxies, certificates and time limits, a setting of apt.conf(5) each."""
    dump = _output(["apt-config", "dump", "--format", '%F "%v";%n', *_TRANSPORT])
    return [line for line in dump.splitlines() if re.match(r'\S+ ".+";$', line)]


def answering(uris: Iterable[str], suite: str) -> tuple[list[str], list[str]]:
    """Splits base URIs into those that serve a suite, and a line each of why the others do not.

    They are asked as apt asks them: with the name and password of their own, by apt's proxy. No
    line shows a password.
    """
    good: list[str] = []
    bad: list[str] = []
    for uri in uris:
        if not uri.startswith(("http://", "https://")):
            good.append(uri)
            continue
        bare, headers = _without_login(uri)
        release = f"{bare}/dists/{suite}/InRelease"
        try:
            request = urllib.request.Request(release, headers=headers)
            opener = urllib.request.build_opener(urllib.request.ProxyHandler(_proxy(bare)))
            with opener.open(request, timeout=20) as answer:
                answer.read(1)
            good.append(uri)
        # What is no HTTP at all is neither of the former.
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = str(getattr(error, "reason", error)).strip()
            bad.append(f"{release}: {reason or type(error).__name__}")
    return good, bad


def _without_login(uri: str) -> tuple[str, dict[str, str]]:
    """A URI without the name and password in it, and the header that says them (RFC 7617)."""
    scheme, _, rest = uri.partition("://")
    place, slash, path = rest.partition("/")
    login, at, host = place.rpartition("@")
    if not at:
        return uri, {}
    said = base64.b64encode(unquote(login).encode()).decode()
    return f"{scheme}://{host}{slash}{path}", {"Authorization": f"Basic {said}"}


def _proxy(uri: str) -> dict[str, str] | None:
    """The proxy that apt's configuration has for a URI; None where it has none (apt.conf(5))."""
    scheme, host = urlsplit(uri).scheme, urlsplit(uri).hostname
    try:
        dump = _output(["apt-config", "dump", "--format", "%F %v%n", "Acquire"])
    except LockError:
        return None
    settings = dict(line.partition(" ")[::2] for line in dump.splitlines())
    for kind in (scheme, "http"):
        name = f"Acquire::{kind}::Proxy"
        if found := settings.get(f"{name}::{host}") or settings.get(name):
            return {} if found == "DIRECT" else {scheme: found}
    return None
