"""Photographs of a folder as aligned faces."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ifgan_pl.core.distributed import Ranks
from ifgan_pl.photos import aligned as module
from ifgan_pl.photos import open_photo
from ifgan_pl.photos.aligned import aligned_photos
from tests.photos.photographs import HOPPER, hopper


def folder_of(path: Path) -> Path:
    """A portrait, the same cut close to the face, a picture without a face and a broken file."""
    path.mkdir()
    shutil.copy(HOPPER, path / "a.jpg")
    Image.fromarray(hopper()[120:330, 180:350]).save(path / "b.png")
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(path / "c.png")
    (path / "d.jpg").write_bytes(b"\xff\xd8")
    return path


def test_faces_and_where_their_squares_leave_the_photograph(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    faces = aligned_photos(folder_of(tmp_path / "party"), tmp_path / "cache")
    assert faces.shape == (2, 4, 128, 128)
    assert faces.dtype == torch.uint8
    np.testing.assert_array_equal(faces[0, :3].permute(1, 2, 0), open_photo(HOPPER).faces[0].aligned(128))
    whole, cut = (float((face[3] == 255).float().mean()) for face in faces)
    assert whole > 0.95 > 0.8 > cut > 0.2
    assert faces[:, 3].unique().tolist() == [0, 255]
    assert "2 of 4 photographs" in caplog.text


def test_they_are_made_once_by_all_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 1)
    party = folder_of(tmp_path / "party")
    with monkeypatch.context() as patch:
        patch.setattr(Ranks, "barrier", lambda self: None)
        with pytest.raises(Exception, match="no such file"):  # the other rank is not there to make its part
            aligned_photos(party, tmp_path / "cache", ranks=Ranks(1, 2))
    made = {path.name for path in (tmp_path / "cache").rglob("*.safetensors")}
    assert made == {"000002.safetensors", "000003.safetensors"}
    assert len(aligned_photos(party, tmp_path / "cache")) == 2
    monkeypatch.setattr(module, "aligned", None)  # nothing is left to make
    assert len(aligned_photos(party, tmp_path / "cache")) == 2
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_the_first_ones_alone(tmp_path: Path) -> None:
    assert len(aligned_photos(folder_of(tmp_path / "party"), tmp_path / "cache", most=1)) == 1
