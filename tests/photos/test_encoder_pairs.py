"""Pairs to learn an encoder from: the same for any rank, made once."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from ifgan_pl.core.distributed import Ranks
from ifgan_pl.generators.loading import load_mobile
from ifgan_pl.generators.mobile import MobileStyleGAN
from ifgan_pl.generators.sampling import sample_codes, synthesise
from ifgan_pl.photos import encoder_pairs
from ifgan_pl.photos.encoder_pairs import SEEN_ROWS, full_ws, make_pairs, sample_ws


@pytest.fixture(scope="module")
def mobile() -> MobileStyleGAN:
    return load_mobile()


def test_a_pair_is_a_function_of_its_number(mobile: MobileStyleGAN) -> None:
    whole = sample_ws(mobile, range(3, 9), seed=5)
    assert whole.shape == (6, SEEN_ROWS, 512)
    torch.testing.assert_close(sample_ws(mobile, range(6, 9), seed=5), whole[3:], rtol=0, atol=1e-5)


def test_half_of_the_pairs_have_rows_of_two_faces(mobile: MobileStyleGAN) -> None:
    ws = sample_ws(mobile, range(64), seed=0)
    mixed = (ws != ws[:, :1]).any(2).any(1)
    assert 20 < int(mixed.sum()) < 44
    first = sample_codes(mobile, range(0, 128, 2), truncation=1.0) - mobile.w_mean
    psi = ((ws[:, 0] - mobile.w_mean) * first).sum(1) / first.square().sum(1)
    torch.testing.assert_close(ws[:, 0] - mobile.w_mean, psi[:, None] * first, rtol=0, atol=1e-4)
    assert 0.54 < psi.min() < 0.6
    assert 1.0 < psi.max() < 1.06


def test_rows_that_the_preview_does_not_show_follow(mobile: MobileStyleGAN) -> None:
    ws = full_ws(sample_ws(mobile, range(1), seed=1))
    assert ws.shape == (1, 16, 512)
    assert torch.equal(ws[:, 9:], ws[:, 9:10].expand(-1, 7, -1))
    other = ws.clone()
    other[:, SEEN_ROWS:] = 0
    assert torch.equal(*(synthesise(mobile, codes, space="w+", resolution=128) for codes in (ws, other)))


def test_ranks_share_the_blocks_and_nothing_is_made_twice(
    mobile: MobileStyleGAN, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder_pairs, "BLOCK", 4)
    monkeypatch.setattr(Ranks, "barrier", lambda self: None)
    asked: list[int] = []

    def identity(images: Tensor) -> Tensor:
        asked.append(len(images))
        return images.mean((2, 3))

    second = Ranks(1, 2)
    monkeypatch.setattr(encoder_pairs, "load_tensors", lambda path: ({n: torch.zeros(1) for n in PARTS}, {}))
    make_pairs(mobile, mobile, identity, tmp_path, count=8, seed=1, ranks=second)
    assert asked == [4]
    monkeypatch.undo()
    monkeypatch.setattr(encoder_pairs, "BLOCK", 4)
    images, ws, seen = make_pairs(mobile, mobile, identity, tmp_path, count=8, seed=1)
    assert asked == [4, 4]
    assert images.shape == (8, 3, 128, 128)
    assert images.dtype == torch.uint8
    again = make_pairs(mobile, mobile, identity, tmp_path, count=8, seed=1)
    assert asked == [4, 4]
    assert all(torch.equal(a, b) for a, b in zip(again, (images, ws, seen), strict=True))
    assert make_pairs(mobile, mobile, identity, tmp_path, count=4, seed=2)[0].shape[0] == 4
    shown = synthesise(mobile, full_ws(ws[5:6].float()), space="w+", resolution=128)
    assert (images[5] / 127.5 - 1 - shown[0].clamp(-1, 1)).abs().mean() < 0.01


PARTS = ("images", "ws", "identity")
