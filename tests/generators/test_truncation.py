"""Codes moved towards the mean code: all of them, some styles of them, each by its own psi; and what is refused."""

import pytest
import torch

from ifgan_pl.core.errors import UserError
from ifgan_pl.generators import Generator
from ifgan_pl.generators.sampling import sample_codes, sample_z
from ifgan_pl.generators.truncation import truncate, truncated


def test_a_cutoff_leaves_the_later_styles() -> None:
    w, mean = torch.tensor([[2.0, -4.0]]), torch.tensor([1.0, 0.0])
    moved = torch.tensor([1.5, -2.0])
    assert torch.equal(truncate(w, mean, 0.5), moved[None])
    assert torch.equal(truncate(w, mean, 0.5, cutoff=1, num_ws=3), torch.stack([moved, w[0], w[0]])[None])
    assert truncate(w, mean, 1) is w


def test_samples_may_have_a_truncation_each(mobile: Generator, dcgan: Generator) -> None:
    z = sample_z(range(2), 512)
    w = truncated(mobile, z, torch.tensor([[0.0], [1.0]]))
    mean = mobile.w_mean
    assert mean is not None
    assert torch.equal(w[0], mean)
    torch.testing.assert_close(w[1], mobile.mapping(z)[1], rtol=0, atol=1e-5)
    assert truncated(dcgan, z, torch.ones(2, 1)) is z


def test_what_is_no_psi_is_refused(mobile: Generator, dcgan: Generator) -> None:
    for psi in (-0.1, 3.0, float("nan")):
        with pytest.raises(UserError, match="--truncation is psi, from 0 to 1"):
            sample_codes(mobile, [0], truncation=psi)
    with pytest.raises(UserError, match="no W space and so no truncation: give --truncation 1"):
        sample_codes(dcgan, [0], space="z", truncation=0.7)
