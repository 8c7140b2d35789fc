"""Labelled images, their cache, and what the modules share."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ifgan_pl.core.errors import UserError
from ifgan_pl.data.celeba import CelebAData
from ifgan_pl.data.faces import FacesData
from ifgan_pl.data.ffhq import FFHQData
from ifgan_pl.data.labelled import LabelledImages, set_aside
from ifgan_pl.data.mixed import MixedData
from ifgan_pl.data.table import TableData
from ifgan_pl.images.read import decode, to_square
from tests.data.files import write_folder


def test_padding_has_no_labels():
    data = LabelledImages([np.zeros((3, 3, 4, 4), np.uint8)], torch.ones(3, 2), np.array([2, 0]))
    batch = data.__getitems__([0, -1])
    assert batch["index"].tolist() == [2, -1]
    assert batch["target"][0].tolist() == [1, 1]
    assert batch["target"][1].isnan().all()


def test_one_training_row_in_twenty_is_set_aside_unless_the_data_says_which():
    split = set_aside(np.array(["train"] * 60 + ["report"] * 5))
    assert (split == "select").sum() == 3
    assert (split == "report").sum() == 5
    given = np.array(["train", "select", "report"])
    assert (set_aside(given) == given).all()


def test_decoding_takes_the_centre_square_and_agrees_with_the_scorer(tmp_path):
    generator = np.random.default_rng(0)
    image = generator.integers(0, 256, (64, 96, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    decoded = torch.from_numpy(decode(tmp_path / "a.png", 16)).float()
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    # Pillow rounds after rows and again after columns
    assert (decoded - to_square(tensor, 16)[0]).abs().max() <= 1


def test_nothing_is_read_before_it_is_asked_for(tmp_path):
    modules = [
        TableData(tmp_path / "no", tmp_path / "no.csv"),
        CelebAData(tmp_path / "no"),
        FFHQData(tmp_path / "no", tmp_path / "no"),
        FacesData(tmp_path / "no.csv"),
    ]
    for data in (*modules, MixedData(modules[0], [modules[3]])):
        for asks in (data.prepare_data, data.setup, lambda data=data: data.attributes):
            with pytest.raises(UserError, match=r"no such|is not CelebA"):
                asks()


def test_options_of_loading_are_those_of_every_module(tmp_path):
    loading: dict[str, Any] = {"batch_size": 3, "num_workers": 1, "seed": 4}
    table = TableData(tmp_path, tmp_path / "t.csv", image_size=16, cache_dir=tmp_path / "c", **loading)
    mixed = MixedData(table, [], **loading)
    for data in (table, mixed):
        assert (data.batch_size, data.num_workers, data.seed, data.image_size) == (3, 1, 4, 16)
        assert data.cache_dir == tmp_path / "c"
    with pytest.raises(TypeError, match="batchsize"):
        TableData(tmp_path, tmp_path / "t.csv", batchsize=3)


def test_what_predict_sees_are_the_rows_that_report(tmp_path):
    data = TableData(*write_folder(tmp_path / "a", age=range(23)), batch_size=8, image_size=16, cache_dir=tmp_path)
    seen = torch.cat([batch["index"] for batch in data.predict_dataloader()])
    assert seen.tolist() == data.rows("report").tolist() == [0, 20]
