"""The encoder: what it gives, what its file holds, and what the shipped one reaches."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ifgan_pl.core.errors import UserError
from ifgan_pl.core.resources import resource
from ifgan_pl.generators.loading import load_mobile
from ifgan_pl.generators.sampling import sample_codes, synthesise
from ifgan_pl.photos.encoder import FaceEncoder, encoder_state, load_encoder
from ifgan_pl.photos.faces import open_photo


@pytest.fixture(scope="module")
def shipped() -> FaceEncoder:
    return load_encoder()


def test_a_new_encoder_gives_the_mean_code_in_units_of_the_covariance() -> None:
    torch.manual_seed(0)
    encoder = FaceEncoder(components=512)
    sample = torch.randn(600, 512) @ torch.randn(512, 512) + 3
    mean, covariance = sample.mean(0), torch.cov(sample.mT)
    encoder.take_statistics(mean, covariance)
    torch.testing.assert_close(encoder.root.mT @ encoder.root, covariance, rtol=1e-3, atol=1)
    lengths = encoder.root.norm(dim=1)
    assert (lengths[:-1] >= lengths[1:]).all()
    encoder.code.weight.data.zero_()
    encoder.offsets.weight.data.zero_()
    with torch.no_grad():
        ws = encoder(torch.zeros(2, 3, 128, 128))
    torch.testing.assert_close(ws, mean.expand(2, 16, 512))


def test_rows_are_the_common_code_and_their_own_offset() -> None:
    encoder = FaceEncoder(components=8, offset_components=2, rows=3)
    encoder.root.copy_(torch.eye(8, 512))
    a, offsets = torch.arange(8.0)[None], torch.tensor([[[1.0, 0.0], [0.0, 0.0], [0.0, -1.0]]])
    rows = encoder.codes(a, offsets)[0, :, :3]
    assert rows.tolist() == [[1, 1, 2], [0, 1, 2], [0, 0, 2]]


def test_a_face_is_encoded_the_same_whatever_stands_beside_it(shipped: FaceEncoder) -> None:
    images = torch.rand(3, 3, 160, 160, generator=torch.Generator().manual_seed(0)) * 2 - 1
    shipped.train()
    with torch.no_grad():
        together, alone = shipped(images), shipped(images[1:2])
    assert together.shape == (3, 16, 512)
    assert together.dtype == torch.float32
    torch.testing.assert_close(together[1:2], alone, rtol=0, atol=1e-3)
    assert torch.equal(together[:, 9:], together[:, 9:10].expand(-1, 7, -1))


def test_images_of_another_shape_are_refused(shipped: FaceEncoder) -> None:
    with pytest.raises(ValueError, match=r"\(N, 3, H, H\) expected, got \(1, 3, 128, 96\)"):
        shipped(torch.zeros(1, 3, 128, 96))


def test_a_file_gives_the_encoder_back_within_half_precision(shipped: FaceEncoder, tmp_path: Path) -> None:
    path = tmp_path / "encoder.ckpt"
    torch.save(encoder_state(shipped, {"pairs": 3}), path)
    images = torch.zeros(1, 3, 128, 128)
    assert torch.equal(load_encoder(path)(images), shipped(images))
    assert torch.load(path, weights_only=True)["provenance"] == {"pairs": 3}


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04"])
def test_a_file_that_is_no_encoder_is_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.ckpt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"broken\.ckpt is not an encoder's checkpoint"):
        load_encoder(path)
    with pytest.raises(UserError, match="is not an encoder's checkpoint"):
        load_encoder("scorer-faces")
    with pytest.raises(UserError, match="no such file: nowhere"):
        load_encoder("nowhere")


def test_the_shipped_encoder_is_small_and_tells_where_it_comes_from() -> None:
    path = resource("checkpoints/encoder-faces.ckpt")
    assert path.stat().st_size <= 15e6
    provenance = torch.load(path, weights_only=True)["provenance"]
    assert provenance["generator"] == load_mobile().fingerprint
    assert provenance["pairs"] > 0


def test_faces_that_it_has_not_seen_keep_their_identity(shipped: FaceEncoder) -> None:
    generator = load_mobile()
    codes = sample_codes(generator, range(8), seed=77, truncation=1.0)
    images = synthesise(generator, codes, space="w", resolution=128).clamp(-1, 1)
    again = synthesise(generator, shipped(images), space="w+", resolution=128).clamp(-1, 1)
    alike = shipped.embed(images) @ shipped.embed(again).mT
    assert alike.diagonal().mean() > 0.5
    assert alike.argmax(1).tolist() == list(range(8))


def test_photographs_come_out_as_who_they_show(shipped: FaceEncoder, shared: Path) -> None:
    files = sorted((shared / "portraits" / "neutral").glob("*.jpg"))[:6]
    pixels = np.stack([open_photo(file).faces[0].aligned(256) for file in files])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 127.5 - 1
    again = synthesise(load_mobile(), shipped(images), space="w+", resolution=128).clamp(-1, 1)
    alike = shipped.embed(images) @ shipped.embed(again).mT
    assert alike.argmax(1).tolist() == list(range(6))
