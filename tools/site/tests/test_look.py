"""Looking at the site: which pages are too wide, and what is said without a browser."""

from pathlib import Path

import pytest

from tools.site import look


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    (folder / "docs").mkdir(parents=True)
    for name in ("index", "docs/wide"):
        (folder / f"{name}.html").write_text("<title>A</title><body></body>")
    return folder


def browser(folder: Path) -> Path:
    """A stand-in that takes every page of docs/ for 500 pixels wide."""
    program = folder / "chromium"
    program.write_text(
        "#!/bin/sh\n"
        'case "$*" in *--screenshot=*) p="${*##*--screenshot=}"; : > "${p%% *}" ;; '
        '*/docs/*) echo "<title>width 500</title>" ;; *) echo "<title>width 390</title>" ;; esac\n'
    )
    program.chmod(0o755)
    return program


def test_a_page_wider_than_its_window_is_named(site: Path, tmp_path: Path) -> None:
    wide = look.look(site, tmp_path / "pictures", str(browser(tmp_path)))
    assert wide == ["docs-wide: 500 pixels wide in a window of 390"]
    assert sorted(file.name for file in (tmp_path / "pictures").iterdir()) == [
        "docs-wide-1280.png", "docs-wide-390.png", "index-1280.png", "index-390.png",
    ]  # fmt: skip


def test_without_a_browser_it_says_what_to_install(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert look.main([str(site), str(tmp_path / "pictures")]) == 1
    assert "apt-get install chromium" in capsys.readouterr().err


def test_a_browser_that_shows_nothing_is_an_error(site: Path, tmp_path: Path) -> None:
    program = tmp_path / "chromium"
    program.write_text("#!/bin/sh\necho no display >&2\n")
    program.chmod(0o755)
    with pytest.raises(look.LookError, match="no display"):
        look.look(site, tmp_path / "pictures", str(program))
