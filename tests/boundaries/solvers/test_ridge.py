import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from ifgan_pl.boundaries import solvers
from tests.boundaries.solvers.problems import problem


@pytest.mark.parametrize("masked", [False, True])
def test_ridge_agrees_with_scikit_learn(masked: bool) -> None:
    codes, scores = problem()
    if masked:
        scores[:200, 1] = torch.nan
    solution = solvers.ridge(codes, scores, l2=0.05)
    for j in range(3):
        rows = scores[:, j].isfinite()
        oracle = Ridge(alpha=0.05 * int(rows.sum())).fit(codes[rows].double(), scores[rows, j].double())
        np.testing.assert_allclose(solution.weights[j], oracle.coef_, atol=1e-7 * np.abs(oracle.coef_).max())
        assert float(solution.biases[j]) == pytest.approx(oracle.intercept_, abs=1e-7)
    assert solution.info["converged"] == [True] * 3


def test_a_column_without_targets_is_refused() -> None:
    codes, scores = problem()
    scores[:, 1] = torch.nan
    with pytest.raises(ValueError, match="column 1"):
        solvers.ridge(codes, scores, l2=0.1)
