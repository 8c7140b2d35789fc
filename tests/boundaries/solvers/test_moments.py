import numpy as np

from ifgan_pl.boundaries.solvers.moments import moments
from tests.boundaries.solvers.problems import problem


def test_moments() -> None:
    codes, _ = problem(count=5000)
    found = moments(codes)
    np.testing.assert_allclose(found.covariance, np.cov(codes.double().T, bias=True), atol=1e-10)
    np.testing.assert_allclose(found.mean, codes.double().mean(0), atol=1e-12)
    assert found.count == 5000
