"""Labelled samples of a generator: made through the preview, once, and the images that belong to the labels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import load_tensors, save_tensors
from ifgan_pl.core.resources import resource
from ifgan_pl.data.faces import FacesData
from ifgan_pl.data.table import read_columns
from ifgan_pl.generators import load_generator
from ifgan_pl.generators.sampling import sample_codes, synthesise
from ifgan_pl.images.read import to_float

ROWS = (0, 1, 2, 3, 4500)  # truncations .7 and 1, train and val


def write_faces(folder: Path) -> dict[str, Any]:
    """A few rows of the shipped labels with their codes."""
    columns = read_columns(resource("checkpoints/faces.csv"))
    lines = [",".join(columns), *(",".join(column[row] for column in columns.values()) for row in ROWS)]
    (folder / "few.csv").write_text("\n".join(lines) + "\n")
    z = load_tensors(resource("checkpoints/faces.safetensors"))[0]["z"]
    save_tensors(folder / "few.safetensors", {"z": z[list(ROWS)]}, {})
    return {"labels": folder / "few.csv", "latents": folder / "few.safetensors"}


def test_labelled_faces_are_synthesised_once(tmp_path: Path) -> None:
    files = write_faces(tmp_path)
    data = FacesData(**files, resolution=128, batch_size=2, cache_dir=tmp_path / "cache")
    data.prepare_data()
    data.setup()
    assert data.labels.targets.shape == (5, 5)
    assert data.labels.split.tolist() == ["train"] * 4 + ["report"]
    batch = next(iter(data.train_dataloader()))
    assert batch["image"].shape == (2, 3, 128, 128)
    assert to_float(torch.from_numpy(np.array(data._images[0]))).std() > 0.2
    (cache,) = (tmp_path / "cache").glob("*.npy")
    stamp = cache.stat().st_mtime_ns
    FacesData(**files, resolution=128, cache_dir=tmp_path / "cache").prepare_data()
    assert cache.stat().st_mtime_ns == stamp


def test_the_faces_are_those_that_were_labelled(tmp_path: Path, shared: Path) -> None:
    """JPEG of full synthesis: the preview is about 25 dB from it, another face 8 dB."""
    data = FacesData(**write_faces(tmp_path), resolution=128, cache_dir=tmp_path / "cache")
    data.setup()
    images = to_float(torch.from_numpy(np.array(data._images[0])))
    stored = [np.asarray(Image.open(shared / f"faces/images/{row:05d}.jpg")).transpose(2, 0, 1) for row in ROWS]
    error = (images[:, None] - to_float(torch.from_numpy(np.stack(stored)))).square().mean((2, 3, 4))
    decibel = 10 * torch.log10(4 / error)  # (made, stored)
    assert decibel.diag().min() > 20
    assert (decibel - torch.diag(decibel.diag())).max() < 17


def test_rows_may_name_samples_of_the_package_s_own_stream(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text(
        "seed,index,truncation,eyeglasses,smile,male,age,yaw\n7,40,0.6,0,0.2,1,30,0\n7,3,0.6,,1,0,,1\n8,3,0.6,1,1,1,9,2\n"
    )
    data = FacesData(tmp_path / "own.csv", None, resolution=128, image_size=64, cache_dir=tmp_path / "cache")
    data.setup()
    assert data.labels.targets[1].isnan().tolist() == [True, False, False, True, False]
    generator = load_generator("ffhq-mobile")
    for row, (seed, index) in enumerate([(7, 40), (7, 3), (8, 3)]):
        codes = sample_codes(generator, [index], seed=seed, truncation=0.6)
        expected = synthesise(generator, codes, space="w", resolution=128)
        expected = torch.nn.functional.avg_pool2d(expected.clamp(-1, 1), 2)[0]
        made = to_float(torch.from_numpy(np.array(data._images[0][row])))
        assert (made - expected).abs().max() < 1 / 127


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    files = write_faces(tmp_path)
    save_tensors(tmp_path / "short.safetensors", {"z": torch.zeros(4, 512)}, {})
    with pytest.raises(UserError, match=r"short\.safetensors holds 4 codes z, .*few\.csv 5 rows; they must agree"):
        FacesData(files["labels"], tmp_path / "short.safetensors").setup()
    with pytest.raises(UserError, match=r"few\.csv has no column beard; its columns are file, split, truncation"):
        FacesData(**files, attributes={"beard": "binary"}).setup()
    (tmp_path / "odd.csv").write_text("truncation,eyeglasses,smile,male,age,yaw\n0.7,0,0,0,old,0\n")
    with pytest.raises(UserError, match="every row needs numbers in"):
        FacesData(tmp_path / "odd.csv", files["latents"]).setup()
    with pytest.raises(UserError, match=r"gives \(128, 1024\) pixels, not resolution=99"):
        FacesData(**files, resolution=99, cache_dir=tmp_path / "cache").prepare_data()
