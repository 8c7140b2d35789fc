import pytest
import torch
from sklearn.svm import SVC

from ifgan_pl.boundaries import solvers
from tests.boundaries.solvers.problems import problem


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
