"""Advisories that are old, empty or broken are an error, and never "nothing found"."""

import http.server
import json
import socket
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from rules.scan import advisories
from rules.scan.advisories import Collection
from rules.scan.error import ScanError

NOW = datetime(2026, 11, 27, tzinfo=UTC)
# A chunk that is shorter than it says (RFC 9112, section 7.1).
CUT_OFF = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhalf"
GOOD = {"id": "X-1", "modified": "2026-11-26T00:00:00Z", "affected": []}


def read(*places: Path, days: int = 7) -> Collection:
    return advisories.read(places, NOW, timedelta(days=days))


def write(file: Path, value: object) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(value if isinstance(value, str) else json.dumps(value))
    return file


def archive(file: Path, **texts: str) -> Path:
    with zipfile.ZipFile(file, "w") as target:
        for name, text in texts.items():
            target.writestr(f"{name}.json", text)
    return file


def test_a_folder_a_zip_and_a_file_are_read(tmp_path: Path) -> None:
    write(tmp_path / "folder/deep/1.json", GOOD)
    packed = archive(tmp_path / "some.zip", two=json.dumps(GOOD | {"id": "X-2"}))
    file = write(tmp_path / "3.json", GOOD | {"id": "X-3"})

    found = read(tmp_path / "folder", packed, file)

    assert [each.identifier for each in found.advisories] == ["X-1", "X-2", "X-3"]
    assert found.newest == datetime(2026, 11, 26, tzinfo=UTC)


def test_what_is_withdrawn_is_dropped_but_tells_the_age(tmp_path: Path) -> None:
    write(tmp_path / "1.json", GOOD | {"withdrawn": "2026-11-26T00:00:00Z"})

    found = read(tmp_path)

    assert found.advisories == ()
    assert found.newest == datetime(2026, 11, 26, tzinfo=UTC)


def test_data_that_is_too_old_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "1.json", GOOD | {"modified": "2026-11-01T00:00:00Z"})

    with pytest.raises(ScanError, match=r"26 days old, of 2026-11-01; expected at most 7"):
        read(tmp_path)
    assert read(tmp_path, days=30).advisories


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="no advisory in it"):
        read(tmp_path)


def test_an_empty_zip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="no advisory in it"):
        read(archive(tmp_path / "empty.zip"))


def test_a_torn_zip_is_refused(tmp_path: Path) -> None:
    whole = archive(tmp_path / "whole.zip", one=json.dumps(GOOD)).read_bytes()
    torn = tmp_path / "torn.zip"
    torn.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(ScanError, match=r"torn\.zip: expected JSON, or a whole zip archive"):
        read(torn)


def test_a_zip_with_a_broken_member_is_refused(tmp_path: Path) -> None:
    packed = archive(tmp_path / "some.zip", one=json.dumps(GOOD))
    packed.write_bytes(packed.read_bytes().replace(b"X-1", b"X-2", 1))

    with pytest.raises(ScanError, match=r"some\.zip: cannot be read: Bad CRC"):
        read(packed)


def test_a_zip_whose_members_no_longer_unpack_is_refused(tmp_path: Path) -> None:
    packed = tmp_path / "some.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("one.json", json.dumps(GOOD))
    content = bytearray(packed.read_bytes())
    # The first byte of the member's data: a kind of block that there is none of.
    content[30 + len("one.json")] |= 0b110
    packed.write_bytes(content)

    with pytest.raises(ScanError, match=r"some\.zip: cannot be read: Error -3"):
        read(packed)


def test_a_zip_that_is_locked_by_a_password_is_refused(tmp_path: Path) -> None:
    packed = archive(tmp_path / "some.zip", one=json.dumps(GOOD))
    content = bytearray(packed.read_bytes())
    # Bit 0 of the flags, in the member's own header and in the directory's.
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    packed.write_bytes(content)

    with pytest.raises(ScanError, match=r"some\.zip: cannot be read: .* is encrypted"):
        read(packed)


def test_a_place_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="nowhere: cannot be read"):
        read(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"id": "X-1"},
        {"id": "", "modified": "2026-11-26T00:00:00Z"},
        {"id": "X-1", "modified": "yesterday"},
        {"id": "X-1", "modified": "2026-11-26T00:00:00Z", "affected": [{"package": {"name": "a"}}]},
        {"spdxVersion": "SPDX-2.3"},
        GOOD | {"aliases": "CVE-1"},
        GOOD | {"summary": 1},
        GOOD | {"affected": [{"package": {"ecosystem": "PyPI", "name": 1}}]},
        GOOD
        | {
            "affected": [
                {
                    "package": {"ecosystem": "PyPI", "name": "a"},
                    "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": 0}]}],
                }
            ]
        },
    ],
)
def test_what_is_no_advisory_is_refused_by_its_name(tmp_path: Path, value: object) -> None:
    write(tmp_path / "good.json", GOOD)
    write(tmp_path / "other.json", value)

    with pytest.raises(ScanError, match=r"other\.json: expected an advisory in OSV's format"):
        read(tmp_path)


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH\r\n", CUT_OFF])
def test_an_answer_that_is_none_is_an_error_that_says_what_else_to_do(
    tmp_path: Path, answer: bytes
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(ScanError, match=r"PyPI/all\.zip: cannot be fetched: .*--advisories"):
            advisories.fetch(url, ["PyPI"], tmp_path)
        thread.join()


@contextmanager
def server(folder: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=folder)
    ) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}"
        finally:
            listening.shutdown()
            thread.join()


def test_osvs_export_is_fetched_for_each_ecosystem(tmp_path: Path) -> None:
    for name in ("PyPI", "Debian:13"):
        (tmp_path / "export" / name).mkdir(parents=True)
        archive(tmp_path / "export" / name / "all.zip", one=json.dumps(GOOD | {"id": name}))
    (tmp_path / "fetched").mkdir()

    with server(tmp_path / "export") as url:
        files = advisories.fetch(url, ["Debian:13", "PyPI"], tmp_path / "fetched")

    assert [each.identifier for each in read(*files).advisories] == ["Debian:13", "PyPI"]


def test_an_export_that_is_not_there_is_an_error_that_says_what_else_to_do(tmp_path: Path) -> None:
    with (
        server(tmp_path) as url,
        pytest.raises(ScanError, match=r"PyPI/all\.zip: cannot be fetched: .*--advisories"),
    ):
        advisories.fetch(url, ["PyPI"], tmp_path)
