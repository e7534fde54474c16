"""Mirrors are those of this machine's apt, or of the environment."""

import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

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

        def translate_path(self, path: str) -> str:
            # To a proxy the whole URI is said.
            return super().translate_path(urlsplit(path).path)

        def do_GET(self) -> None:
            wanted = tmp_path / "login"
            if wanted.exists() and self.headers.get("Authorization") != wanted.read_text():
                self.send_error(401)
            else:
                super().do_GET()

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()


def test_a_mirror_without_the_suite_is_told_apart(server: str) -> None:
    good, bad = apt.answering([f"{server}/good", f"{server}/bad", "file:/local"], "forky")

    assert good == [f"{server}/good", "file:/local"]
    assert len(bad) == 1
    assert bad[0].startswith(f"{server}/bad/dists/forky/InRelease: ")


def answer_like(folder: Path, monkeypatch: pytest.MonkeyPatch, dump: str) -> None:
    """Puts an apt-config in PATH that prints a configuration."""
    (folder / "bin").mkdir()
    (folder / "bin/apt-config").write_text(f"#!/bin/sh\ncat <<'END'\n{dump}END\n")
    (folder / "bin/apt-config").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}/bin:/usr/bin:/bin")


def test_a_mirror_is_asked_by_the_proxy_that_apt_has(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_like(tmp_path, monkeypatch, f"Acquire \nAcquire::http::Proxy {server}/\n")

    # Nobody else knows the name.
    good, bad = apt.answering(["http://mirror.invalid/good"], "forky")

    assert (good, bad) == (["http://mirror.invalid/good"], [])


def test_a_proxy_is_not_asked_for_a_host_that_apt_reaches_without_it(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = "http://127.0.0.1:1/"
    settings = f"Acquire::http::Proxy {nowhere}\nAcquire::http::Proxy::127.0.0.1 DIRECT\n"
    answer_like(tmp_path, monkeypatch, settings)

    assert apt.answering([f"{server}/good"], "forky") == ([f"{server}/good"], [])


def test_a_mirror_gets_the_password_of_its_uri_and_no_line_shows_it(
    tmp_path: Path, server: str
) -> None:
    (tmp_path / "login").write_text("Basic bWU6c2UvY3JldA==")
    uri = server.replace("http://", "http://me:se%2Fcret@")

    good, bad = apt.answering([f"{uri}/good", f"{uri}/bad"], "forky")

    assert good == [f"{uri}/good"]
    assert [line.partition(": ")[0] for line in bad] == [f"{server}/bad/dists/forky/InRelease"]


def test_a_mirror_whose_password_is_wrong_is_told_apart(tmp_path: Path, server: str) -> None:
    (tmp_path / "login").write_text("Basic bWU6c2UvY3JldA==")

    good, bad = apt.answering([f"{server.replace('//', '//me:wrong@')}/good"], "forky")

    assert (good, bad) == ([], [f"{server}/good/dists/forky/InRelease: Unauthorized"])


def test_what_speaks_no_http_is_told_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def greet() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-OpenSSH\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        uri = f"http://127.0.0.1:{listening.getsockname()[1]}"
        good, bad = apt.answering([uri], "forky")
        thread.join()

    assert (good, bad) == ([], [f"{uri}/dists/forky/InRelease: SSH-2.0-OpenSSH"])
