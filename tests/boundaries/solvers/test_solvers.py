import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.svm import SVC, LinearSVC

from ifgan_pl.boundaries import solvers
from ifgan_pl.boundaries.solvers import losses, newton


def problem(count: int = 600, dim: int = 24, models: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Anisotropic codes away from the origin, and noisy linear scores: classes overlap."""
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(count, dim, generator=generator) * torch.logspace(0, -1.5, dim) + 1
    truth = torch.randn(models, dim, generator=generator) / torch.logspace(0, -1.5, dim)
    scores = codes @ truth.mT
    scores = (scores - scores.mean(0)) / scores.std(0) + torch.randn(count, models, generator=generator)
    return codes, scores


@pytest.mark.parametrize("loss", losses.LOSSES.values(), ids=losses.LOSSES)
@pytest.mark.parametrize("target", [-1.0, 1.0])
def test_slopes_and_curvatures_are_derivatives(loss: losses.Loss, target: float) -> None:
    z = torch.linspace(-3, 3, 60, dtype=torch.float64).requires_grad_()  # no point on a kink
    t = torch.full_like(z, target)
    (slope,) = torch.autograd.grad(loss.value(z, t).sum(), z)
    torch.testing.assert_close(loss.slope(z, t), slope)
    step = 1e-6
    numeric = (loss.slope(z + step, t) - loss.slope(z - step, t)) / (2 * step)
    torch.testing.assert_close(loss.curvature(z, t).detach(), numeric.detach(), atol=1e-4, rtol=1e-4)


def test_moments() -> None:
    codes, _ = problem(count=5000)
    found = newton.moments(codes)
    np.testing.assert_allclose(found.covariance, np.cov(codes.double().T, bias=True), atol=1e-10)
    np.testing.assert_allclose(found.mean, codes.double().mean(0), atol=1e-12)
    assert found.count == 5000


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


@pytest.mark.parametrize("width", [3.0, 0.3, 0.0], ids=["separable", "nearly", "hard"])
def test_hinge_is_the_support_vector_machine_of_scikit_learn(width: float) -> None:
    """Whether the classes separate or not: the same objective and direction, at the same C."""
    codes, scores = problem(count=1500)
    score = scores[:, 0].sort()
    rows = score.indices[(score.values.abs() > width / 2)] if width else score.indices
    codes, targets = codes[rows], scores[rows, :1].sign()
    solution = solvers.hinge(codes, targets, l2=1 / len(rows))
    oracle = SVC(kernel="linear", C=1.0, tol=1e-5).fit(codes.double(), targets[:, 0])
    weights, bias = torch.tensor(oracle.coef_[0]), float(oracle.intercept_[0])

    def objective(weights: torch.Tensor, bias: float) -> float:
        gaps = (1 - targets[:, 0].double() * (codes.double() @ weights + bias)).clamp_min(0)
        return float(gaps.mean() + weights @ weights / (2 * len(rows)))

    ours = objective(solution.weights[0], float(solution.biases[0]))
    assert ours == pytest.approx(objective(weights, bias), rel=1e-3)
    assert ours == pytest.approx(solution.info["objective"][0], rel=1e-6)
    assert solution.info["gap"][0] <= 5e-4
    assert torch.nn.functional.cosine_similarity(solution.weights[0], weights, dim=0) > 0.99


def test_hinge_takes_masks_and_weights() -> None:
    codes, scores = problem(count=400, models=2)
    targets = scores.sign()
    targets[:150, 1] = torch.nan
    weights = torch.randint(1, 4, (400, 2), generator=torch.Generator().manual_seed(1)).float()
    solution = solvers.hinge(codes, targets, weights=weights, l2=0.01, gap=1e-6)
    rows = torch.arange(150, 400).repeat_interleave(weights[150:, 1].long())  # a weight of 3 is a row three times
    repeated = solvers.hinge(codes[rows], targets[rows, 1:], l2=0.01, gap=1e-6)
    torch.testing.assert_close(solution.weights[1:], repeated.weights, atol=1e-2, rtol=1e-2)
    assert solution.info["objective"][1] == pytest.approx(repeated.info["objective"][0], rel=2e-6)


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


@pytest.mark.parametrize("solver", solvers.SOLVERS)
def test_sums_over_two_halves_find_the_same_planes(solver: str) -> None:
    """Two threads stand for two ranks: each sees half of the rows and the sum of both."""
    import threading

    codes, scores = problem(count=1001)
    targets = scores.sigmoid() if solver == "logistic" else scores.sign()
    whole = solvers.SOLVERS[solver](codes, targets, l2=0.01)
    barrier, shares = threading.Barrier(2), [torch.empty(0), torch.empty(0)]
    found: list[solvers.Solution | None] = [None, None]

    def rank(i: int) -> None:
        def reduce(value: torch.Tensor) -> torch.Tensor:
            shares[i] = value.clone()
            barrier.wait()
            total = shares[0] + shares[1]
            barrier.wait()
            return total

        found[i] = solvers.SOLVERS[solver](codes[i::2], targets[i::2], l2=0.01, reduce=reduce)

    threads = [threading.Thread(target=rank, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for solution in found:
        assert solution is not None
        torch.testing.assert_close(
            torch.nn.functional.normalize(solution.weights),
            torch.nn.functional.normalize(whole.weights),
            atol=1e-5,
            rtol=0,
        )


def test_a_column_without_targets_is_refused() -> None:
    codes, scores = problem()
    scores[:, 1] = torch.nan
    with pytest.raises(ValueError, match="column 1"):
        solvers.ridge(codes, scores, l2=0.1)
