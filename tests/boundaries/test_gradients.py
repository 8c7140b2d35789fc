"""Gradients of scores through the generator, and the metric of the least change outside the face."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from ifgan_pl.boundaries import gradients as module
from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.boundaries.gradients import TIED, WEIGHT, outside, score_gradients, spread, with_gradients
from ifgan_pl.core.errors import UserError
from ifgan_pl.generators import load_generator
from ifgan_pl.generators.base import Generator
from ifgan_pl.generators.sampling import sample_codes
from tests.boundaries.toys import made


def brightness(images: Tensor) -> Tensor:
    """A scorer: the mean of the upper and of the lower half."""
    return torch.stack([images[:, :, :32].mean((1, 2, 3)), images[:, :, 32:].mean((1, 2, 3))], 1)


def test_gradients_are_those_of_finite_differences(dcgan: Generator) -> None:
    codes = sample_codes(dcgan, range(3), space="z", truncation=1.0)
    found, probes = score_gradients(dcgan, brightness, codes, columns=[1, 0], space="z")
    assert found.shape == (2, 1, 100)
    assert probes.shape == (3 * module.PROBES, 1, 100)
    direction = torch.randn(100, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ends = [brightness(dcgan.synthesis(codes + sign * 1e-3 * direction)).double().mean(0) for sign in (1, -1)]
    expected = (ends[0] - ends[1]) / 2e-3
    torch.testing.assert_close(found[:, 0] @ direction.double(), expected.flip(0), rtol=0.03, atol=1e-3)


def test_rows_of_w_plus_are_told_apart_and_sum_up_to_those_of_w() -> None:
    generator = load_generator("ffhq-mobile")
    codes = sample_codes(generator, range(1))

    def scorer(images: Tensor) -> Tensor:
        return images.mean((1, 2, 3))[:, None]

    found, _ = score_gradients(generator, scorer, codes, columns=[0], space="w", resolution=128)
    assert found.shape == (1, 16, 512)
    assert not found[0, 12:].any()  # the preview does not show them
    w = codes.clone().requires_grad_()
    alike = torch.autograd.grad(scorer(generator.synthesis(w, 128)).sum(), w)[0]
    torch.testing.assert_close(found[0].sum(0).float(), alike[0], rtol=1e-3, atol=1e-5)


def test_a_scorer_without_a_gradient_is_refused(dcgan: Generator) -> None:
    codes = sample_codes(dcgan, range(1), space="z", truncation=1.0)
    with pytest.raises(UserError, match="cannot be differentiated"):
        score_gradients(dcgan, lambda images: images.detach()[:, 0, 0, :1], codes, columns=[0], space="z")


def test_the_metric_is_the_inverse_of_both_costs() -> None:
    draws = torch.Generator().manual_seed(1)
    gradients, probes = (torch.randn(n, 2, 6, generator=draws, dtype=torch.float64) for n in (3, 4))
    half = torch.randn(6, 6, generator=draws, dtype=torch.float64)
    root = half @ half.mT + torch.eye(6)
    alike = probes.sum(1)
    beta = WEIGHT * 6 / float((alike @ root * alike).sum() / 4)
    tied = (1 - TIED) * torch.eye(2) + TIED * torch.ones(2, 2)
    cost = torch.kron(tied.double(), root).inverse() + beta * probes.flatten(1).mT @ probes.flatten(1) / 4
    expected = gradients.flatten(1) @ cost.inverse()
    torch.testing.assert_close(spread(gradients, probes, root).flatten(1), expected)


def test_outside_is_the_rim_of_an_aligned_image() -> None:
    mask = outside(64)
    assert mask[0].all()
    assert not mask[34, 32]
    assert 0.5 < mask.mean() < 0.7


def test_gradients_are_part_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "b.safetensors"
    found = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(4))
    boundary = with_gradients(made(), found, found, names=["age"]).replaced(response=torch.eye(2))
    boundary.save(path)
    again = LinearBoundary.load(path)
    assert torch.equal(again.edit_shift({"age": 1.0}), boundary.edit_shift({"age": 1.0}))
    assert again.gradients is not None
    assert again.gradients[0].isnan().all()
