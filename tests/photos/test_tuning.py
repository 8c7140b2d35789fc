"""Changes of a generator's weights, of low rank."""

import pytest
import torch

from ifgan_pl.core.errors import UserError
from ifgan_pl.generators import Generator, load_generator
from ifgan_pl.generators.mobile import MobileStyleGAN
from ifgan_pl.photos.tuning import LEFT, RANK, Synthesis, factors_of, initial_tuning, tunable, tuned


@pytest.fixture(scope="module")
def generator() -> MobileStyleGAN:
    loaded = load_generator("ffhq-mobile")
    assert isinstance(loaded, MobileStyleGAN)
    return loaded


def test_it_starts_from_no_change_and_is_the_same_every_time(generator: MobileStyleGAN) -> None:
    early, late = tunable(generator)
    tuning = initial_tuning(generator, [*early, *late])
    again = initial_tuning(generator, [*early, *late])
    assert all(torch.equal(tuning[name], again[name]) for name in tuning)
    assert sum(t.numel() * t.element_size() for t in tuning.values()) < 1e6
    codes = generator.w_mean[None]
    with torch.no_grad():
        plain = generator.synthesis(codes, 128)
        assert torch.equal(Synthesis(generator).tuned(tuning, codes, 128), plain)
        assert torch.equal(tuned(generator, tuning).synthesis(codes, 128), plain)


def test_changes_show_in_the_copy_alone(generator: MobileStyleGAN) -> None:
    early, _ = tunable(generator)
    tuning = initial_tuning(generator, early[:1])
    left, _ = factors_of(tuning, early[:1])
    assert left.shape == (512, RANK)
    left += 0.05
    codes = generator.w_mean[None]
    with torch.no_grad():
        plain = generator.synthesis(codes, 128)
        changed = tuned(generator, tuning).synthesis(codes, 128)
        assert float((changed - plain).abs().max()) > 1e-3
        assert torch.allclose(Synthesis(generator).tuned(tuning, codes, 128), changed, atol=1e-5)
        assert torch.equal(generator.synthesis(codes, 128), plain)


def test_no_changes_and_other_families(generator: MobileStyleGAN, dcgan: Generator) -> None:
    assert tuned(generator, {}) is generator
    assert tunable(dcgan) == ([], [])
    with pytest.raises(UserError, match="made with another generator"):
        tuned(dcgan, {"blocks.0.conv1.pointwise.weight" + LEFT: torch.zeros(2, 2)})
