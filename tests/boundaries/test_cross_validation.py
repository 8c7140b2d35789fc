import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from ifgan_pl.boundaries.cross_validation import FOLDS, GRID, cross_validate
from ifgan_pl.boundaries.solvers.moments import moments
from tests.boundaries.solvers.problems import problem


@pytest.mark.parametrize("missing", [0, 0.2])
def test_errors_are_those_of_refits_on_every_fold(missing: float) -> None:
    codes, scores = problem(count=2000)
    if missing:
        scores[torch.rand(2000, generator=torch.Generator().manual_seed(1)) < missing, 1] = torch.nan
    found, statistics = cross_validate(codes, scores)
    np.testing.assert_allclose(statistics.covariance, moments(codes).covariance, atol=1e-12)
    for j in range(3):
        present = scores[:, j].isfinite().numpy()
        folds = np.arange(2000) % FOLDS
        for g in (0, 8, 14, 20):
            error = np.zeros(2000)
            for fold in range(FOLDS):
                train, test = (folds != fold) & present, (folds == fold) & present
                model = Ridge(alpha=GRID[g] * statistics.scale * train.sum())
                model.fit(codes[train].double(), scores[train, j].double())
                error[test] = (model.predict(codes[test].double()) - scores[test, j].double().numpy()) ** 2
            variance = scores[present, j].double().var(correction=0)
            # with missing targets the Gram matrix is that of all codes: near, but not the same
            assert float(found.errors[g, j]) == pytest.approx(
                error[present].mean() / float(variance), rel=2e-2 if missing and j == 1 else 1e-9
            )


def test_the_best_penalty_falls_with_the_number_of_samples() -> None:
    codes, scores = problem(count=8000)
    few, _ = cross_validate(codes[:60], scores[:60])
    many, _ = cross_validate(codes, scores)
    assert (few.best > many.best).all()


def test_folds_are_of_global_rows() -> None:
    """Two shares of the rows, summed, give what all rows give, also where a share starts within a fold's round."""
    codes, scores = problem(count=1000)
    whole, _ = cross_validate(codes, scores)

    def sums(rows: slice) -> list[torch.Tensor]:
        kept: list[torch.Tensor] = []

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            kept.append(tensor)
            return tensor

        cross_validate(codes[rows], scores[rows], first_row=rows.start, reduce=keep)
        return kept

    totals = iter([a + b for a, b in zip(sums(slice(0, 333)), sums(slice(333, 1000)), strict=True)])
    both, _ = cross_validate(codes[:333], scores[:333], reduce=lambda _: next(totals))
    torch.testing.assert_close(both.errors, whole.errors)
