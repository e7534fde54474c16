"""The table compares the most services with the fewest."""

from bench.growth import report
from bench.growth.report import CLEAN, UNCHANGED, Growth

MACHINE = {"cpus": 2, "kernel": "6.1", "processor": "P", "load": [0.5, 1.0]}


def found() -> Growth:
    growth = Growth([1, 100], memory={"1": 50.0, "100": 75.0}, disk={"1": 30.0, "100": 31.5})
    growth.machine = MACHINE
    for _ in range(2):
        growth.add(UNCHANGED, 1, 1.0)
        growth.add(UNCHANGED, 100, 1.2)
    growth.add(CLEAN, 1, 10.0)
    growth.add(CLEAN, 100, 15.0)
    return growth


def test_ratios_are_of_the_most_to_the_fewest() -> None:
    rows = report.render(found()).splitlines()

    assert rows[2:6] == [
        "| nothing changed | 1.00 s | 1.20 s | 1.20 (1.20 to 1.20) |",
        "| clean build | 10.00 s | 15.00 s | 1.50 (one round) |",
        "| heap of the Bazel server | 50.0 MB | 75.0 MB | 1.50 |",
        "| blobs of all images | 30.0 MB | 31.5 MB | 1.05 |",
    ]
    assert rows[-1] == "2 rounds; 2 CPUs (P), Linux 6.1, load 0.5 to 1.0."


def test_figures_are_the_same_after_they_were_kept() -> None:
    assert Growth.loads(found().dumps()) == found()


def test_every_row_has_a_line_in_the_plot() -> None:
    drawing = report.draw(found())

    assert drawing.count("<polyline") == 2
