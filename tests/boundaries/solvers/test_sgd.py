from functools import partial
from typing import Any

import pytest
import torch
from torch.nn.functional import cosine_similarity

from ifgan_pl.boundaries import solvers
from ifgan_pl.boundaries.fit import fit_boundary
from ifgan_pl.boundaries.solvers.sgd import BoundaryTask, sgd
from tests.boundaries.solvers.test_solvers import problem

QUIET = {"accelerator": "cpu", "enable_progress_bar": False}


@pytest.mark.parametrize("loss", ["squared", "logistic", "squared_hinge", "hinge"])
def test_gradient_descent_finds_what_the_exact_solver_finds(loss: str) -> None:
    codes, scores = problem(count=3000)
    scores[:500, 1] = torch.nan
    targets = {"squared": scores, "logistic": scores.sigmoid()}.get(loss, scores.sign())
    exact = solvers.SOLVERS["ridge" if loss == "squared" else loss](codes, targets, l2=0.01)
    found = sgd(codes, targets, l2=0.01, loss=loss, batch_size=250, epochs=20, trainer=QUIET)
    assert cosine_similarity(found.weights, exact.weights).min() > 0.99
    torch.testing.assert_close(found.weights, exact.weights, atol=0.15 * float(exact.weights.abs().max()), rtol=0)


def test_it_serves_fit_boundary() -> None:
    codes, scores = problem(count=3000)
    options: dict[str, Any] = {
        "attributes": ["a", "b", "c"],
        "kinds": ["binary"] * 3,
        "space": "w",
        "solver": "logistic",
    }
    exact = fit_boundary(codes, scores, **options)
    found = fit_boundary(codes, scores, solve=partial(sgd, epochs=20, batch_size=250, trainer=QUIET), **options)
    assert (exact.normals * found.normals).sum(1).min() > 0.99


def test_an_unknown_loss_is_refused() -> None:
    with pytest.raises(ValueError, match="loss of squared, logistic"):
        BoundaryTask(4, 1, loss="mse")
