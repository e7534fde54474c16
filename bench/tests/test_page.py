"""A program writes its part of a page, and nothing else of it."""

from pathlib import Path

import pytest

from bench import page
from bench.commands import BenchError

BEGIN, END = page.marks("figures")


def test_a_part_is_exchanged_and_what_stands_around_it_stays() -> None:
    before = f"# Page\n\n{BEGIN}\n\nold\n\n{END}\n\nBelow.\n"

    after = page.insert(before, "figures", "new\n")

    assert after == f"# Page\n\n{BEGIN}\n\nnew\n\n{END}\n\nBelow.\n"
    assert page.insert(after, "figures", "new") == after


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
def test_a_page_without_the_part_is_refused(text: str) -> None:
    with pytest.raises(BenchError, match="these two lines once"):
        page.insert(text, "figures", "new")


def test_a_file_that_cannot_be_written_whole_stays_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")

    with pytest.raises(UnicodeEncodeError):
        page.write(file, "new \udc80")

    assert file.read_text() == "old"
