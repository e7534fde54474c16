"""Mirrors are those of this machine's apt, or of the environment."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.locks import apt
from tools.locks.error import LockError

LISTING = """\
'http://mirror/debian/dists/bookworm/InRelease' mirror_debian_dists_bookworm_InRelease 0
'http://mirror/debian/dists/bookworm-updates/InRelease' mirror_x 0
'https://safe/debian-security/dists/bookworm-security/InRelease' safe_x 0
'http://mirror/debian/dists/bookworm/main/binary-amd64/Packages.xz' mirror_p 0
"""


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "apt-get").write_text(f"#!/bin/sh\ncat <<'END'\n{LISTING}END\n")
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("DEBIAN_MIRRORS", raising=False)
    monkeypatch.delenv("DEBIAN_SECURITY_MIRRORS", raising=False)


@pytest.mark.usefixtures("listed")
def test_mirrors_are_those_of_apts_sources_once_each() -> None:
    assert apt.mirrors() == ["http://mirror/debian"]
    assert apt.mirrors(security=True) == ["https://safe/debian-security"]


@pytest.mark.usefixtures("listed")
def test_the_environment_wins_over_apts_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBIAN_MIRRORS", "http://a/debian/ file:/b")

    assert apt.mirrors() == ["http://a/debian", "file:/b"]


def test_a_machine_without_apt_is_told_what_else_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("DEBIAN_MIRRORS", raising=False)

    with pytest.raises(LockError, match=r"apt-get is missing.*Bazelisk"):
        apt.mirrors()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    release = tmp_path / "good/dists/forky/InRelease"
    release.parent.mkdir(parents=True)
    release.write_text("Origin: Debian\n")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, directory=str(tmp_path), **kwargs)  # type: ignore[arg-type]

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()


def test_a_mirror_without_the_suite_is_told_apart(server: str) -> None:
    good, bad = apt.answering([f"{server}/good", f"{server}/bad", "file:/local"], "forky")

    assert good == [f"{server}/good", "file:/local"]
    assert len(bad) == 1
    assert bad[0].startswith(f"{server}/bad/dists/forky/InRelease: ")
