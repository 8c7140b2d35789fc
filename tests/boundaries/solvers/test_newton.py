import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from ifgan_pl.boundaries import solvers
from tests.boundaries.solvers.problems import problem


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logistic_agrees_with_scikit_learn_with_masks_and_weights(dtype: torch.dtype) -> None:
    codes, scores = problem()
    targets = (scores > 0).to(dtype)
    targets[100:400, 2] = torch.nan
    weights = torch.rand(600, 3, generator=torch.Generator().manual_seed(1)).to(dtype)
    l2 = torch.tensor([0.01, 0.001, 0.1])
    solution = solvers.logistic(codes.to(dtype), targets, weights=weights, l2=l2, tolerance=1e-7)
    for j in range(3):
        rows = targets[:, j].isfinite()
        share = weights[rows, j].double() / weights[rows, j].double().sum()
        oracle = LogisticRegression(C=1 / float(l2[j]), tol=1e-11, max_iter=10000)
        oracle.fit(codes[rows].double(), targets[rows, j], sample_weight=share)
        np.testing.assert_allclose(solution.weights[j], oracle.coef_[0], atol=2e-5 * np.abs(oracle.coef_).max())
        assert float(solution.biases[j]) == pytest.approx(float(oracle.intercept_[0]), abs=2e-4)
    assert solution.info["converged"] == [True] * 3


def test_logistic_takes_soft_targets() -> None:
    codes, scores = problem()
    soft = scores.sigmoid()
    found = solvers.logistic(codes, soft, l2=0.01)
    doubled = solvers.logistic(
        codes.repeat(2, 1),
        torch.cat([torch.ones_like(soft), torch.zeros_like(soft)]),
        weights=torch.cat([soft, 1 - soft]),
        l2=0.01,
    )
    torch.testing.assert_close(found.weights, doubled.weights, atol=1e-4, rtol=1e-4)


def test_squared_hinge_agrees_with_scikit_learn() -> None:
    codes, scores = problem()
    targets = torch.where(scores > 0, 1.0, -1.0)
    solution = solvers.squared_hinge(codes.double(), targets.double(), l2=0.02, tolerance=1e-10)
    oracle = LinearSVC(C=1 / (0.02 * 600), dual=False, tol=1e-12, max_iter=10000, intercept_scaling=1000)
    for j in range(3):
        oracle.fit(codes.double(), targets[:, j])  # it penalises the intercept: hence the scaling
        np.testing.assert_allclose(solution.weights[j], oracle.coef_[0], atol=1e-3 * np.abs(oracle.coef_).max())


def test_one_attribute_is_found_as_among_many() -> None:
    codes, scores = problem(models=5)
    together = solvers.logistic(codes, scores.sigmoid(), l2=0.01, tolerance=1e-8)
    alone = solvers.logistic(codes, scores[:, 3:4].sigmoid(), l2=0.01, tolerance=1e-8)
    torch.testing.assert_close(together.weights[3:4], alone.weights, atol=1e-6, rtol=1e-6)


def test_a_start_at_the_solution_costs_no_step() -> None:
    codes, scores = problem()
    first = solvers.logistic(codes, scores.sigmoid(), l2=0.01)
    again = solvers.logistic(codes, scores.sigmoid(), l2=0.01, start=(first.weights, first.biases))
    assert again.info["newton_steps"] == 0
    torch.testing.assert_close(again.weights, first.weights)
