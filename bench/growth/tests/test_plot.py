"""The plot is SVG, and has every line."""

from xml.etree import ElementTree as ET

import pytest

from bench.growth.plot import plot

SVG = "{http://www.w3.org/2000/svg}"


def test_more_seconds_are_higher_and_more_services_further_right() -> None:
    drawing = ET.fromstring(plot("Builds", {"a & b": {1: 0.5, 10: 1.0, 100: 20.0}}))

    line = drawing.find(f"{SVG}polyline")
    assert line is not None
    points = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert [y for _, y in points] == sorted((y for _, y in points), reverse=True)
    assert "a & b" in [text.text for text in drawing.iter(f"{SVG}text")]


@pytest.mark.parametrize("lines", [{}, {"a": {1: 0.0}}])
def test_nothing_to_plot_is_refused(lines: dict[str, dict[int, float]]) -> None:
    with pytest.raises(ValueError, match="above zero"):
        plot("Builds", lines)
