"""What all exact solvers share."""

import threading

import pytest
import torch

from ifgan_pl.boundaries import solvers
from tests.boundaries.solvers.problems import problem


@pytest.mark.parametrize("solver", solvers.SOLVERS)
def test_sums_over_two_halves_find_the_same_planes(solver: str) -> None:
    """Two threads stand for two ranks: each sees half of the rows and the sum of both."""
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
