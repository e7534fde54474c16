"""Areas are in proportion to sizes, and fill the box."""

import pytest

from rules.report.treemap import Box, fill

BOX = Box(0, 0, 200, 100)


@pytest.mark.parametrize("box", [BOX, Box(0, 0, 100, 200)], ids=["wide", "tall"])
def test_areas_are_in_proportion_and_fill_the_box(box: Box) -> None:
    areas = [each.width * each.height for each in fill(box, [5, 3, 2])]

    assert areas == pytest.approx([10_000, 6_000, 4_000])


def test_rectangles_do_not_overlap_and_stay_inside() -> None:
    boxes = fill(BOX, [7, 5, 3, 2, 1, 1])

    for number, one in enumerate(boxes):
        assert one.x >= 0
        assert one.y >= 0
        assert one.x + one.width <= 200.001
        assert one.y + one.height <= 100.001
        for other in boxes[number + 1 :]:
            apart = (
                one.x + one.width <= other.x + 0.001
                or other.x + other.width <= one.x + 0.001
                or one.y + one.height <= other.y + 0.001
                or other.y + other.height <= one.y + 0.001
            )
            assert apart


@pytest.mark.parametrize("sizes", [[], [0, 0], [4], [0, 4]])
def test_nothing_and_empty_files_have_no_area(sizes: list[int]) -> None:
    boxes = fill(BOX, sizes)

    assert sum(box.width * box.height for box in boxes) == (20_000 if sum(sizes) else 0)
    assert len(boxes) == len(sizes)
