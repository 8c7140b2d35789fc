"""Samples by seed and index, their latent codes and images, and what is refused."""

import hashlib

import pytest
import torch

from ifgan_pl.core.errors import UserError
from ifgan_pl.generators import Generator
from ifgan_pl.generators.sampling import (
    native_resolution,
    parse_indices,
    sample_codes,
    sample_z,
    synthesise,
)


def test_a_sample_is_a_function_of_seed_and_index() -> None:
    whole = sample_z(range(600), 16, seed=3)
    assert (sample_z([599, 0, 256, 0], 16, seed=3) == whole[[599, 0, 256, 0]]).all()
    assert not (sample_z(range(600), 16, seed=4) == whole).any()


def test_the_stream_never_changes() -> None:
    digest = hashlib.sha256(sample_z(range(250, 260), 512, seed=0).numpy().tobytes()).hexdigest()
    assert digest[:16] == "47a5b4f4a36e89de"


def test_negative_indices_and_seeds_are_refused() -> None:
    with pytest.raises(ValueError, match="indices"):
        sample_z([-1], 4)
    with pytest.raises(ValueError, match="seed"):
        sample_z([0], 4, seed=-1)


def test_codes_of_all_spaces_belong_to_one_sample(mobile: Generator) -> None:
    z, w, ws = (sample_codes(mobile, [5, 3], seed=2, space=space, truncation=0.5) for space in ("z", "w", "w+"))
    assert torch.equal(z, sample_z([5, 3], 512, seed=2))
    mean = mobile.w_mean
    assert mean is not None
    torch.testing.assert_close(w, mean + 0.5 * (mobile.mapping(z) - mean))
    assert torch.equal(ws, w[:, None].expand(-1, 16, -1))
    with torch.inference_mode():
        images = synthesise(mobile, w, space="w", resolution=128)
        assert torch.equal(synthesise(mobile, ws, space="w+", resolution=128), images)
        from_z = synthesise(mobile, z, space="z", truncation=0.5, resolution=128)
    torch.testing.assert_close(from_z, images, rtol=0, atol=1e-3)


def test_a_space_that_a_generator_lacks_is_refused(dcgan: Generator) -> None:
    with pytest.raises(UserError, match="digiface-dcgan has the latent spaces z, not 'w'"):
        sample_codes(dcgan, [0], space="w", truncation=1)


def test_resolutions_are_native_or_averaged_down(mobile: Generator, dcgan: Generator) -> None:
    assert [native_resolution(mobile, r) for r in (None, 1024, 128, 256)] == [(1024, 1), (1024, 1), (128, 1), (1024, 4)]
    z = sample_codes(dcgan, [0, 1], space="z", truncation=1)
    with torch.inference_mode():
        full, small = (synthesise(dcgan, z, space="z", resolution=resolution) for resolution in (None, 16))
    torch.testing.assert_close(small, torch.nn.functional.avg_pool2d(full, 4))
    for wrong in (0, -64, 48, 128):
        with pytest.raises(UserError, match=f"--resolution must divide 64, got {wrong}"):
            native_resolution(dcgan, wrong)


def test_indices_are_written_as_numbers_and_ranges() -> None:
    assert parse_indices("0-3, 40,7-7") == [0, 1, 2, 3, 40, 7]
    for wrong in ("", "a", "3-", "-1", "5-2", "1,,2", "1.5"):
        with pytest.raises(UserError, match="indices and ranges such as 0-15,40"):
            parse_indices(wrong)
