"""The performance page and its plots are what the programs write for the committed figures."""

import os
from pathlib import Path

from bench import comparison, page
from bench.__main__ import FIGURES, PAGE, PART, PLOT
from bench.comparison import Figures
from bench.growth import __main__ as growth
from bench.growth import report

DOCS = Path(os.environ["DOCS"]).parent


def committed(name: str) -> str:
    return (DOCS / Path(name).name).read_text()


def test_the_comparison_on_the_page_is_that_of_its_figures() -> None:
    figures = Figures.loads(committed(FIGURES))

    whole = committed(PAGE)
    assert page.insert(whole, PART, comparison.render(figures)) == whole, (
        "change bench/comparison.py or the figures, and not the page: tools/bazel run //bench -- "
        "--write"
    )


def test_the_plot_is_that_of_its_figures() -> None:
    assert committed(PLOT) == comparison.plot(Figures.loads(committed(FIGURES)))


def test_what_the_page_says_of_growth_is_that_of_its_figures() -> None:
    found = report.Growth.loads(committed(growth.FIGURES))

    whole = committed(growth.PAGE)
    assert page.insert(whole, growth.PART, report.render(found)) == whole
    assert committed(growth.PLOT) == report.draw(found)
