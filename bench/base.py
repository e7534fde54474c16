"""Base images as Debian's slim ones are: made by mmdebstrap, since no registry need be reached."""

import hashlib
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.commands import BenchError, run
from tools.locks import apt

# What Debian's slim images leave out: files that no server reads.
_EXCLUDED = (
    "/usr/share/doc/*",
    "/usr/share/groff/*",
    "/usr/share/info/*",
    "/usr/share/linda/*",
    "/usr/share/lintian/*",
    "/usr/share/locale/*",
    "/usr/share/man/*",
)
_INCLUDED = ("/usr/share/doc/*/copyright",)


@dataclass(frozen=True)
class Base:
    """A base image: its name for `FROM`, and the packages that it has beside the least."""

    name: str
    packages: Sequence[str]


# The first builds, the second runs: no pip reaches the image.
BUILD = Base("localhost/bench-build", ("ca-certificates", "python3", "python3-pip", "python3-venv"))
RUN = Base("localhost/bench-run", ("ca-certificates", "python3", "tzdata"))


def suite(packages: Path) -> str:
    """The suite that //image is made of, from its list of packages (image/packages.toml)."""
    found: list[str] = tomllib.loads(packages.read_text())["suites"]
    return found[0]


def archive(base: Base, suite: str, cache: Path) -> Path:
    """A base image's root as a tar archive, made where the cache has none of this recipe.

    Packages come from the mirror that this machine's apt is configured with; apt checks signatures.

    Raises:
        BenchError: no mirror answers, or mmdebstrap fails.
    """
    key = hashlib.sha256(repr((base, suite, _EXCLUDED, _INCLUDED)).encode()).hexdigest()[:16]
    kept = cache / f"{base.name.rpartition('/')[2]}-{key}.tar"
    if kept.exists():
        return kept
    mirrors, bad = apt.answering(apt.mirrors(), suite)
    if not mirrors:
        tried = "\n    ".join(bad) or "none configured"
        raise BenchError(
            f"no Debian mirror with {suite} answers. Tried:\n    {tried}\n"
            "Name one in /etc/apt/sources.list (see sources.list(5)), or in DEBIAN_MIRRORS=URI"
        )
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".base-", dir=cache) as folder:
        made = Path(folder, "root.tar")
        run(
            [
                # The container runtime makes /dev.
                *("mmdebstrap", "--quiet", "--variant=minbase", "--skip=output/dev"),
                *(f"--aptopt={setting}" for setting in apt.transport()),
                '--aptopt=APT::Install-Recommends "false"',
                "--dpkgopt=force-unsafe-io",
                *(f"--dpkgopt=path-exclude={glob}" for glob in _EXCLUDED),
                *(f"--dpkgopt=path-include={glob}" for glob in _INCLUDED),
                f"--include={','.join(base.packages)}",
                suite,
                str(made),
                f"deb {mirrors[0]} {suite} main",
            ]
        )
        made.rename(kept)
    return kept
