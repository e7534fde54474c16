"""What this machine's apt is configured with: mirrors, the snapshot archive, proxies."""

import os
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterable

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
    """Splits base URIs into those that serve a suite, and a line each of why the others do not."""
    good: list[str] = []
    bad: list[str] = []
    for uri in uris:
        if not uri.startswith(("http://", "https://")):
            good.append(uri)
            continue
        release = f"{uri}/dists/{suite}/InRelease"
        try:
            with urllib.request.urlopen(release, timeout=20) as answer:
                answer.read(1)
            good.append(uri)
        except (urllib.error.URLError, OSError) as error:
            bad.append(f"{release}: {getattr(error, 'reason', error)}")
    return good, bad
