"""A ratio is told with its quartiles, or not at all."""

import pytest

from bench.figures import Ratio


def test_a_ratio_is_the_median_of_the_rounds_and_not_of_their_figures() -> None:
    # In the second round the machine was slow for both.
    found = Ratio.of([1.1, 22.0, 1.3], [1.0, 20.0, 1.0])

    assert found.median == pytest.approx(1.1)
    assert str(found) == "1.10 (1.10 to 1.20)"


def test_a_machine_that_is_too_noisy_gets_no_figure() -> None:
    found = Ratio.of([1.0, 2.0, 4.0], [1.0, 1.0, 1.0])

    assert found.is_noisy
    assert str(found) == "machine too noisy (1.50 to 3.00)"


@pytest.mark.parametrize(("ours", "base"), [([1.0], [1.0]), ([1.0, 2.0], [1.0])])
def test_too_few_rounds_are_refused(ours: list[float], base: list[float]) -> None:
    with pytest.raises(ValueError, match=r"expected at least|zip"):
        Ratio.of(ours, base)
