"""The table says where the own build loses, and nothing where the machine was too noisy."""

from xml.etree import ElementTree as ET

import pytest

from bench import comparison
from bench.comparison import Figures

SVG = "{http://www.w3.org/2000/svg}"


def figures(**rows: tuple[list[float], list[float]]) -> Figures:
    return Figures(
        ["Bazel", "buildah"],
        {"Bazel": "7.7.1", "buildah": "1.2"},
        {"cpus": 2, "kernel": "6.1", "processor": "P", "load": [0.5, 1.0]},
        {
            name.replace("_", " "): {"Bazel": ours, "buildah": theirs}
            for name, (ours, theirs) in rows.items()
        },
    )


def cell(text: str, row: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {row} |"))
    return [cell.strip() for cell in line.strip().split("|")[2:-1]]


@pytest.mark.parametrize(
    ("rows", "row", "expected"),
    [
        (
            {"clean": ([1.0] * 4, [2.0] * 4)},
            "clean build, from cached downloads",
            "0.50 (0.50 to 0.50)",
        ),
        (
            {"clean": ([2.0, 2.0, 2.2, 2.2], [2.0] * 4)},
            "clean build, from cached downloads",
            "1.05 (1.00 to 1.10)",
        ),
    ],
)
def test_ratios_have_quartiles(
    rows: dict[str, tuple[list[float], list[float]]], row: str, expected: str
) -> None:
    assert expected in cell(comparison.render(figures(**rows)), row)[-1]


def test_a_loss_is_called_one() -> None:
    text = comparison.render(
        figures(
            unchanged=([2.0] * 4, [1.0] * 4),
            start=([0.9, 0.9, 1.2, 1.2], [1.0] * 4),
            list_rate=([90.0] * 4, [100.0] * 4),
            one_rate=([110.0] * 4, [100.0] * 4),
            size=([41.0], [40.0]),
        )
    )

    assert cell(text, "nothing changed")[-1] == "**2.00 (2.00 to 2.00): worse**"
    assert cell(text, "list of 20 rows")[-1] == "**0.90 (0.90 to 0.90): worse**"
    assert cell(text, "image, compressed")[-1] == "**1.02: worse**"
    # Quartiles on both sides of 1 show no loss, and more requests are none.
    assert "worse" not in cell(text, "start to ready, migrated PostgreSQL")[-1]
    assert "worse" not in cell(text, "read of one row")[-1]


def test_a_machine_that_is_too_noisy_gets_words_and_no_ratio() -> None:
    text = comparison.render(figures(unchanged=([1.0, 1.0, 2.0, 4.0], [1.0] * 4)))

    assert cell(text, "nothing changed")[-1] == "too noisy to say (1.00 to 2.50)"


def test_few_rounds_show_no_loss() -> None:
    text = comparison.render(figures(unchanged=([2.0, 2.0], [1.0, 1.0])))

    assert cell(text, "nothing changed")[-1] == "2.00, too few rounds to say"


def test_digests_are_told_in_words() -> None:
    text = comparison.render(figures(digests=([1, 5], [5, 5])))

    assert cell(text, "digests of clean builds") == ["the same, 5 times", "5 of 5 builds", ""]


def test_what_was_not_measured_is_said_with_its_reason() -> None:
    found = figures(unchanged=([1.0, 1.0], []))
    found.notes["dependency"] = "pip is missing"

    text = comparison.render(found)

    assert cell(text, "nothing changed")[1:] == ["-", "-"]
    assert "one dependency updated (certifi) was not measured: pip is missing." in text


def test_the_machine_and_the_programs_are_named() -> None:
    text = comparison.render(figures(size=([1.0], [2.0])))

    assert "Bazel 7.7.1, buildah 1.2; 2 CPUs (P), Linux 6.1, load 0.5 to 1.0." in text


def test_figures_are_the_same_after_they_were_kept() -> None:
    found = figures(size=([1.5], [2.0]))

    assert Figures.loads(found.dumps()) == found


def test_in_the_plot_shorter_is_better_also_for_rates() -> None:
    drawing = ET.fromstring(
        comparison.plot(figures(size=([1.0], [2.0]), list_rate=([100.0], [50.0])))
    )

    texts = [text.text for text in drawing.iter(f"{SVG}text")]
    assert texts.count("0.50") == 2
    assert texts.count("1.00") == 2


def test_a_plot_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="figures of buildah expected"):
        comparison.plot(figures(size=([1.0], [])))
