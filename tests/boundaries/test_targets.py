"""What a solver is asked to predict, on which samples, and what is measured on the others."""

import numpy as np
import pytest
import torch

from ifgan_pl.boundaries.targets import REMAINING, TRAIN, UNUSED, VALIDATION, AttributeSamples, permutation
from ifgan_pl.core.errors import UserError


def scores(count: int = 1000) -> torch.Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(0))


def counts(samples: AttributeSamples) -> list[int]:
    return [int((samples.part == part).sum()) for part in (UNUSED, TRAIN, VALIDATION, REMAINING)]


def test_orders_are_a_function_of_the_seed() -> None:
    assert sorted(permutation(100, 3)) == list(range(100))
    assert np.array_equal(permutation(100, 3), permutation(100, 3))
    assert not np.array_equal(permutation(100, 3), permutation(100, 4))


def test_all_samples_are_fitted_but_a_tenth_which_attributes_share() -> None:
    first, other = (AttributeSamples("a", None, values, "all", seed=0) for values in (scores(), -scores().exp()))
    assert counts(first) == [0, 900, 100, 0]
    assert torch.equal(first.part, other.part)
    missing = scores()
    missing[::4] = torch.nan
    assert counts(AttributeSamples("a", None, missing, "all", seed=0)) == [250, 675, 75, 0]


def test_extremes_are_the_two_ends_and_the_rest_remains() -> None:
    values = scores()
    values[7] = torch.nan
    samples = AttributeSamples("a", None, values, "extremes", seed=0)
    assert counts(samples) == [1, 26, 12, 961]  # 19 a side, 70 % of them to fit
    ends = values[(samples.part == TRAIN) | (samples.part == VALIDATION)]
    rest = values[samples.part == REMAINING]
    assert ((ends < rest.min()) | (ends > rest.max())).all()
    assert int((ends > 0).sum()) == 19


@pytest.mark.parametrize(
    ("values", "kind", "threshold"),
    [
        (torch.linspace(-3, 5, 100), "continuous", 1.0),
        (torch.linspace(-3, 5, 101), "binary", 0.0),
        (torch.linspace(0, 1, 101), None, 0.5),
        (torch.tensor([3.0, 7.0]).repeat(30), None, 5.0),
    ],
)
def test_the_two_sides_part_at_the_median_or_where_an_answer_turns(
    values: torch.Tensor, kind: str | None, threshold: float
) -> None:
    samples = AttributeSamples("a", kind, values, "all", seed=0)
    assert samples.kind == (kind or "binary")
    assert samples.threshold == pytest.approx(threshold)
    assert torch.equal(samples.probability() > 0.5, values.double() > samples.threshold)


@pytest.mark.parametrize(
    ("values", "selection", "message"),
    [
        (torch.full((100,), torch.nan), "all", "0 of 100 samples have a finite score; at least 20"),
        (torch.full((100,), 2.5), "all", r"all 100 scores are 2\.5"),
        ((torch.arange(100) < 4).float(), "all", r"4 of 100 scores lie above 0\.5 and 96 below"),
        (scores(300), "extremes", "2% of 300 samples are 6 a side, at least 10"),
        ((torch.arange(1000) < 990).float(), "extremes", "overlap; use selection all"),
    ],
)
def test_what_cannot_be_fitted_says_why(values: torch.Tensor, selection: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        AttributeSamples("a", None, values, selection, seed=0)


@pytest.mark.parametrize("selection", ["all", "extremes"])
@pytest.mark.parametrize("loss", ["squared", "logistic", "hinge"])
def test_targets_are_of_one_part_and_rise_with_the_score(selection: str, loss: str) -> None:
    values = 4 * scores()
    samples = AttributeSamples("a", "binary", values, selection, seed=0)
    for part in (TRAIN, VALIDATION):
        target = samples.target(loss, part)
        rows = samples.part == part
        assert torch.equal(target.isfinite(), rows)
        ascending = target[rows][values[rows].argsort()]
        assert (ascending.diff() >= -1e-12).all()
        labels = {"logistic": {0.0, 1.0}}.get(loss, {-1.0, 1.0})
        hard = selection == "extremes" or loss == "hinge"
        assert (set(target[rows].tolist()) == labels) == hard


def test_least_squares_predicts_probabilities_of_a_logit_and_values_of_a_number() -> None:
    values = 4 * scores()
    for kind, expected, threshold in (
        ("binary", values.double().sigmoid(), 0.5),
        ("continuous", values.double(), None),
    ):
        samples = AttributeSamples("a", kind, values, "all", seed=0)
        standardised, middle = samples.standardised()
        torch.testing.assert_close(standardised, (expected - expected.mean()) / expected.std())
        threshold = samples.threshold if threshold is None else threshold
        assert middle == pytest.approx(float((threshold - expected.mean()) / expected.std()))


@pytest.mark.parametrize("selection", ["all", "extremes"])
def test_an_exact_line_is_measured_exactly(selection: str) -> None:
    distance = scores(2000).double()
    samples = AttributeSamples("a", "continuous", 3 * distance - 1, selection, seed=0)
    found = samples.statistics(distance)
    assert found["lambda"] == pytest.approx(3)
    assert found["offset"] == pytest.approx(-1)
    assert found["mean"] == pytest.approx(float(3 * distance.mean() - 1))
    assert found["metrics"]["r2"] == pytest.approx(1)
    assert found["metrics"]["accuracy_median"] == 1
    slope, intercept = found["calibration"]
    at_threshold = (samples.threshold + 1) / 3
    assert -intercept / slope == pytest.approx(at_threshold, abs=0.05)  # where the probability is a half


def test_noise_is_measured_outside_the_fit() -> None:
    """Distances that fit the training part exactly and know nothing of the others have no slope and no R²."""
    samples = AttributeSamples("a", "continuous", scores(2000), "all", seed=0)
    noise = torch.randn(2000, generator=torch.Generator().manual_seed(1)).double()
    found = samples.statistics(torch.where(samples.part == TRAIN, samples.scores, noise))
    assert abs(found["lambda"]) < 0.2
    assert abs(found["significance"]) < 3
    assert found["metrics"]["r2"] < 0.05
