"""Secrets in files that change while the service runs."""

import asyncio
import logging
from pathlib import Path

import pytest

from serving.settings import rotation
from serving.settings.rotation import CHECK_SECONDS, Rotating
from serving.web.security import new_key
from serving.web.settings import WebSettings


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self) -> None:
        self.now += CHECK_SECONDS


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "api-keys"
    path.write_text(new_key("old")[1] + "\n")
    monkeypatch.setenv("API_KEYS_FILE", str(path))
    return path


def names(settings: WebSettings) -> list[str]:
    return list(settings.key_digests())


def test_a_changed_file_is_in_force_after_some_seconds_and_not_looked_at_before(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    rotating = Rotating(WebSettings(request_max_bytes=5000), "api_keys", clock=clock)
    file.write_text(f"{new_key('new')[1]},{new_key('other')[1]}")
    assert names(rotating.current) == ["old"]
    clock.pass_by()
    with caplog.at_level(logging.INFO):
        assert names(rotating.current) == ["new", "other"]
    assert rotating.version == 1
    assert rotating.previous is not None
    assert names(rotating.previous) == ["old"]
    assert caplog.messages == ["API_KEYS_FILE changed and is in force"]
    # What was not read from a file is as it was.
    assert rotating.current.request_max_bytes == 5000


def test_a_file_that_is_replaced_as_kubernetes_does_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files are links into a folder that a link names, which is exchanged."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "api-keys").write_text(new_key(folder)[1])
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "api-keys").symlink_to("..data/api-keys")
    monkeypatch.setenv("API_KEYS_FILE", str(tmp_path / "api-keys"))
    clock = Clock()
    rotating = Rotating(WebSettings(), "api_keys", clock=clock)
    assert names(rotating.current) == ["one"]
    (tmp_path / "..new").symlink_to("two")
    (tmp_path / "..new").rename(tmp_path / "..data")
    clock.pass_by()
    assert names(rotating.current) == ["two"]


@pytest.mark.parametrize("content", ["hunter2", "", None], ids=["nonsense", "empty", "gone"])
def test_what_cannot_be_used_changes_nothing_and_is_logged_once(
    file: Path, content: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    rotating = Rotating(WebSettings(auth_required=True), "api_keys", clock=clock)
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    for _ in range(3):
        clock.pass_by()
        assert names(rotating.current) == ["old"]
    [message] = caplog.messages
    assert message.startswith("API_KEYS")
    assert message.endswith("; what was read before stays in force")
    assert "hunter2" not in caplog.text
    # Mended, it is taken.
    file.write_text(new_key("new")[1])
    clock.pass_by()
    assert names(rotating.current) == ["new"]


def test_a_file_that_is_only_touched_changes_nothing(file: Path) -> None:
    clock = Clock()
    rotating = Rotating(WebSettings(), "api_keys", clock=clock)
    content = file.read_text()
    file.unlink()
    file.write_text(content)
    clock.pass_by()
    assert names(rotating.current) == ["old"]
    assert rotating.version == 0


def test_what_has_no_file_is_never_looked_at() -> None:
    rotating = Rotating(WebSettings(api_keys=(new_key("web")[1],)), "api_keys")
    assert not rotating.rotates
    assert names(rotating.current) == ["web"]


async def test_all_that_wait_for_a_change_are_told(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "CHECK_SECONDS", 0.01)
    rotating = Rotating(WebSettings(), "api_keys")
    waiting = [asyncio.create_task(rotating.changed(0)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting.pop().cancel()
    file.write_text(new_key("new")[1])
    async with asyncio.timeout(30):
        await asyncio.gather(*waiting)
    assert names(rotating.current) == ["new"]
