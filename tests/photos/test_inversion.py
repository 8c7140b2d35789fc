"""From a photograph to a file that says what a generator makes of it."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import save_tensors
from ifgan_pl.generators import Generator, load_generator
from ifgan_pl.photos import Face, Inversion, Inverter, inversion, open_photo
from ifgan_pl.photos.identity import load_sface
from ifgan_pl.photos.refinement import Steps
from tests.photos.photographs import HOPPER, HOPPER_POINTS


@pytest.fixture(scope="module")
def face() -> Face:
    return open_photo(HOPPER, points=HOPPER_POINTS).faces[0]


@pytest.fixture(scope="module")
def inverter() -> Inverter:
    return Inverter(load_generator("ffhq-mobile"), None, load_sface(), Steps(1, 1, 1, 1, 1))


def test_a_file_and_back(tmp_path: Path) -> None:
    tuning = {"blocks.0.conv1.pointwise.weight.left": torch.randn(512, 4)}
    quad = np.array([[0.1, 0], [0, 9], [9, 9], [9, 0]])
    made = Inversion(torch.randn(16, 512), quad, {"psnr": 20.5}, {"photo": {"name": "é.jpg"}}, tuning)
    for name in ("one", "two"):
        made.save(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    read = Inversion.load(tmp_path / "one")
    assert torch.equal(read.codes, made.codes)
    np.testing.assert_array_equal(read.quad, quad)
    assert (read.likeness, read.provenance) == (made.likeness, made.provenance)
    assert read.tuning.keys() == tuning.keys()
    assert torch.equal(*(t["blocks.0.conv1.pointwise.weight.left"] for t in (read.tuning, tuning)))


def test_other_files_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        Inversion.load(tmp_path / "none")
    save_tensors(tmp_path / "other", {"codes": torch.zeros(16, 512)}, {})
    with pytest.raises(UserError, match="not an inversion"):
        Inversion.load(tmp_path / "other")
    Inversion(torch.full((16, 512), torch.nan), np.zeros((4, 2)), {}, {}).save(tmp_path / "nan")
    with pytest.raises(UserError, match="not finite"):
        Inversion.load(tmp_path / "nan")


def test_a_face_is_inverted_alike_whatever_it_comes_with(inverter: Inverter, face: Face) -> None:
    seen: list[tuple[str, int, int]] = []
    alone = inverter.invert(face, progress=lambda *step: seen.append(step))
    assert seen == [(phase, 1, 1) for phase in vars(inverter.steps)]
    other = open_photo(HOPPER, points=HOPPER_POINTS + 5).faces[0]
    together = inverter.invert([other, face])
    assert torch.equal(together[1].codes, alone.codes)
    assert together[1].tuning.keys() == alone.tuning.keys()
    assert all(torch.equal(together[1].tuning[name], value) for name, value in alone.tuning.items())
    assert not torch.equal(together[0].codes, alone.codes)
    assert alone.codes.shape == (16, 512)
    assert alone.provenance["photo"]["name"] == HOPPER.name
    assert alone.provenance["encoder"] is None
    assert 5 < alone.likeness["psnr"] < 40
    with torch.no_grad():
        shown = alone.generator(inverter.generator).synthesis(alone.codes[None], 128)
        plain = inverter.generator.synthesis(alone.codes[None], 128)
    assert 1e-3 < float((shown - plain).abs().max()) < 1


def test_an_encoder_says_where_to_start(inverter: Inverter, face: Face) -> None:
    codes = torch.randn(1, 16, 512)
    given = Inverter(inverter.generator, lambda images: codes, inverter.network, Steps(0, 0, 0, 0, 0))
    assert torch.equal(given.invert(face).codes, codes[0])
    other = Inverter(inverter.generator, lambda images: codes[:, :9], inverter.network, Steps(0, 0, 0, 0, 0))
    with pytest.raises(UserError, match=r"the encoder makes codes of \(9, 512\)"):
        other.invert(face)


def test_without_an_encoder_it_says_so(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inversion, "ENCODER", "none-of-this-name")
    with caplog.at_level(logging.WARNING):
        inverter = Inverter.load("ffhq-mobile", steps=Steps(0, 0, 0, 0, 0))
    assert "refinement starts at the mean face" in caplog.text
    assert inverter.encoder is None


def test_another_generator_is_refused(inverter: Inverter) -> None:
    made = Inversion(torch.zeros(16, 512), np.zeros((4, 2)), {}, {"generator": {"name": "mine", "digest": "0"}})
    with pytest.raises(UserError, match="made with mine, other weights than those of ffhq-mobile"):
        made.generator(inverter.generator)


def test_a_generator_without_w_plus_is_one_line(dcgan: Generator) -> None:
    with pytest.raises(UserError, match=r"digiface-dcgan has no W\+"):
        Inverter.load(dcgan)
