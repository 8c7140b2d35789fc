import pytest
import torch

from ifgan_pl.boundaries.solvers import losses


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
