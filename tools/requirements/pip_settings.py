"""How this person reaches a Python index, as pip is told; uv does not read pip's configuration.

The places and their order are those of pip's documentation, "Configuration".
"""

import configparser
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.locks.error import LockError

_SECTIONS = ("global", "download")


@dataclass(frozen=True)
class Settings:
    """pip's options of the same names; `index` is None where pip's default index is meant."""

    index: str | None = None
    extra_indexes: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    no_index: bool = False
    trusted_hosts: tuple[str, ...] = ()
    certificates: str | None = None
    client_certificate: str | None = None
    proxy: str | None = None
    timeout: str | None = None

    def uv_options(self) -> list[list[str]]:
        """Options for uv: what to try first, and what else to try where that fails.

        pip asks every index and takes the best version; of one version that several have, uv
        takes the files of the index named first. The default index has no name here, so it can
        come first only by being asked alone.
        """
        hosts = [f"--allow-insecure-host={host}" for host in self.trusted_hosts]
        links = [f"--find-links={link}" for link in self.links if _exists(link)]
        if self.no_index:
            return [[*hosts, "--no-index", *links]]
        others = [*links, "--index-strategy=unsafe-best-match"]
        if self.index:
            *first, last = self.index, *self.extra_indexes
            named = [*(f"--index={index}" for index in first), f"--default-index={last}"]
            return [[*hosts, *named, *others]]
        extra = [f"--index={index}" for index in self.extra_indexes]
        return [hosts, [*hosts, *extra, *others]] if extra or links else [hosts]

    def uv_environment(self) -> dict[str, str]:
        """Variables for uv and the TLS library in it."""
        chosen = {
            "SSL_CERT_FILE": self.certificates,
            "SSL_CLIENT_CERT": self.client_certificate,
            "ALL_PROXY": self.proxy,
            "UV_HTTP_TIMEOUT": self.timeout,
        }
        return {name: value for name, value in chosen.items() if value}


def read(environment: Mapping[str, str], root: Path = Path("/")) -> Settings:
    """What pip would do in an environment, on a machine whose file system begins at `root`.

    Raises `LockError` for a file that pip could not read either.
    """
    options = _options(environment, root)

    def words(name: str) -> tuple[str, ...]:
        return tuple(options.get(name, "").split())

    return Settings(
        index=options.get("index-url"),
        extra_indexes=words("extra-index-url"),
        links=words("find-links"),
        no_index=options.get("no-index", "").lower() in {"1", "true", "yes", "on", "t", "y"},
        trusted_hosts=words("trusted-host"),
        certificates=options.get("cert"),
        client_certificate=options.get("client-cert"),
        proxy=options.get("proxy"),
        timeout=options.get("timeout", options.get("default-timeout")),
    )


def _options(environment: Mapping[str, str], root: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for file in _files(environment, root):
        parser = configparser.RawConfigParser()
        try:
            parser.read(file, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError) as error:
            said = " ".join(str(error).split())
            raise LockError(f"{file}: expected settings of pip: {said}. Mend the file") from None
        for section in _SECTIONS:
            if parser.has_section(section):
                found |= {name.replace("_", "-"): value for name, value in parser.items(section)}
    for name, value in environment.items():
        if name.startswith("PIP_"):
            found[name.removeprefix("PIP_").replace("_", "-").lower()] = value
    return {name: value for name, value in found.items() if value}


def _files(environment: Mapping[str, str], root: Path) -> list[Path]:
    chosen = environment.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:
        return []
    home = environment.get("HOME", "/")
    shared = environment.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    places = [*(f"{folder}/pip/pip.conf" for folder in shared.split(":")), "/etc/pip.conf"]
    places += [f"{home}/.pip/pip.conf"]
    places += [f"{environment.get('XDG_CONFIG_HOME') or f'{home}/.config'}/pip/pip.conf"]
    if chosen:
        places.append(chosen)
    return [root / place.lstrip("/") for place in places]


def _exists(link: str) -> bool:
    """Whether a folder is there; pip passes over one that is not, uv stops."""
    path = link.removeprefix("file://")
    return "://" in path or Path(path).exists()
