"""Training the encoder: what a step reads, and what its losses measure."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ifgan_pl.core.distributed import Ranks
from ifgan_pl.generators.loading import load_mobile
from ifgan_pl.photos.encoder import FaceEncoder
from ifgan_pl.photos.encoder_pairs import sample_ws
from ifgan_pl.photos.encoder_training import (
    EncoderTask,
    disturbed,
    feature_distance,
    jittered,
    new_encoder,
    pixel_distance,
)
from ifgan_pl.scorer.loading import load_scorer
from tests.processes import ROOT


@pytest.fixture(scope="module")
def encoder() -> FaceEncoder:
    scorer = load_scorer(ROOT / "checkpoints" / "scorer-faces.ckpt")
    return new_encoder(load_mobile(), scorer, seed=1, components=512)


@pytest.fixture
def task(encoder: FaceEncoder) -> EncoderTask:
    generator = load_mobile()
    ws = sample_ws(generator, range(12), seed=3)
    images = torch.zeros(12, 3, 128, 128, dtype=torch.uint8)
    pairs = (images, ws.half(), torch.ones(12, 128).half() / 128**0.5)
    return EncoderTask(encoder, generator, pairs, pair_steps=30, photo_steps=20, pair_batch=4, validation=2)


def test_a_new_encoder_starts_from_the_scorers_network(encoder: FaceEncoder) -> None:
    scorer = load_scorer(ROOT / "checkpoints" / "scorer-faces.ckpt")
    images = torch.rand(2, 3, 128, 128) * 2 - 1
    with torch.no_grad():
        seen = encoder.last_stage(encoder.trunk(images)).mean((2, 3))
        torch.testing.assert_close(seen, scorer.backbone.eval()(images), rtol=1e-3, atol=1e-4)


def test_ranks_share_a_step_and_an_epoch_sees_every_pair_once(task: EncoderTask) -> None:
    whole = [task.drawn(step, 4, 10, 0)[0] for step in range(5)]
    assert sorted(torch.cat(whole).tolist()) == sorted(2 * list(range(10)))
    for rank in range(2):
        task.ranks = Ranks(rank, 2)
        assert torch.equal(task.drawn(2, 4, 10, 0)[0], whole[2][rank::2])


def test_faces_that_are_kept_apart_are_never_drawn(task: EncoderTask) -> None:
    task.pairs[0][-2:] = 255
    assert max(float(task.drawn_pairs(step, 4, 0)[0].max()) for step in range(8)) == -1


def test_the_error_of_a_code_is_nothing_where_it_is_right_and_one_at_the_mean(
    task: EncoderTask, encoder: FaceEncoder
) -> None:
    a = torch.randn(400, 512, generator=torch.Generator().manual_seed(0))
    offsets = torch.zeros(400, encoder.rows, 64)
    ws = encoder.codes(a, offsets)
    assert task.code_error(a, offsets, ws).max() < 1e-3
    assert task.code_error(torch.zeros_like(a), offsets, ws).mean() == pytest.approx(1, abs=0.1)
    moved = offsets.clone()
    moved[:, 3, 0] = 1
    assert task.code_error(a, moved, ws).mean() > 1e-3


def test_the_rate_rises_falls_to_half_and_then_to_nothing(task: EncoderTask) -> None:
    task.pair_steps, task.photo_steps = 1000, 400
    rates = np.array([task.rate(step) for step in range(1401)])
    assert rates[:100].argmax() == 99
    assert rates.max() == pytest.approx(0.98, abs=0.02)
    assert rates[999] == pytest.approx(1 / 2, abs=0.01)
    assert rates[1060] < 1 / 2
    assert rates[-1] == pytest.approx(0, abs=1e-6)


def test_a_step_of_either_kind_has_a_gradient_for_every_weight(task: EncoderTask) -> None:
    task.photos = torch.randint(0, 256, (5, 4, 128, 128), dtype=torch.uint8)
    task.photo_batch = 2
    task.log = lambda *_, **__: None  # type: ignore[method-assign]
    for step in (task.pair_step, task.photo_step):
        task.zero_grad()
        step(0).backward()
        for name, parameter in task.encoder.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


def test_disturbances_do_not_mirror_and_stay_small() -> None:
    draws = torch.rand(16, 24, generator=torch.Generator().manual_seed(0))
    ramp = torch.linspace(-0.5, 0.5, 128).expand(16, 3, 128, 128)
    x = disturbed(ramp, draws)
    assert x.shape == ramp.shape
    assert (x[..., -20:].mean((1, 2, 3)) > x[..., :20].mean((1, 2, 3))).all()
    assert 0.01 < (x - ramp).abs().mean() < 0.3


def test_the_jitter_moves_image_and_mask_together() -> None:
    draws = torch.rand(8, 24, generator=torch.Generator().manual_seed(0))
    images = torch.rand(8, 1, 32, 32).expand(-1, 3, -1, -1)
    moved, mask = jittered(images, images[:, :1], draws)
    torch.testing.assert_close(moved[:, :1], mask)
    assert not torch.allclose(moved, images)


def test_pixels_beyond_the_photograph_do_not_count() -> None:
    wanted, mask = torch.zeros(2, 3, 16, 16), torch.ones(2, 1, 16, 16)
    given = wanted.clone()
    given[0, :, 8:] = 1
    assert pixel_distance(given, wanted, mask).tolist() == [1, 0]  # half of the pixels, at two sizes
    mask[:, :, 8:] = 0
    assert pixel_distance(given, wanted, mask).tolist() == [0, 0]


def test_features_are_compared_by_their_direction() -> None:
    def features(*values: float) -> Tensor:
        return torch.tensor(values, dtype=torch.float32)[None, :, None, None].expand(1, -1, 2, 2)

    assert feature_distance(features(1, 0), features(5, 0)).item() == 0
    assert feature_distance(features(1, 0), features(0, 2)).item() == pytest.approx(2)
