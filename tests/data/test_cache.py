"""Images decoded once into an array; broken ones named and left out."""

import logging
import re

import numpy as np
import pytest
from PIL import Image

from ifgan_pl.core import progress
from ifgan_pl.core.errors import UserError
from ifgan_pl.data.cache import open_array
from ifgan_pl.data.table import TableData
from tests.data.files import write_folder


def test_broken_images_are_named_and_left_out(tmp_path, caplog):
    folder, table = write_folder(tmp_path / "a", age=range(23))
    (folder / "003.png").write_bytes(b"not an image")
    (folder / "004.png").unlink()
    whole = (folder / "005.png").read_bytes()
    (folder / "005.png").write_bytes(whole[: len(whole) // 2])
    data = TableData(folder, table, image_size=16, cache_dir=tmp_path / "cache")
    with caplog.at_level(logging.WARNING):
        data.prepare_data()
        data.setup()
    assert "left out 3 broken images" in caplog.text
    assert all(name in caplog.text for name in ("003.png", "004.png", "005.png"))
    rows = np.concatenate([data.rows(split) for split in ("train", "select", "report")])
    assert sorted(rows) == sorted(set(range(23)) - {3, 4, 5})


def test_the_cache_is_made_once_and_again_when_an_image_changes(tmp_path):
    folder, table = write_folder(tmp_path / "a", age=range(23))

    def make():
        return TableData(folder, table, image_size=16, cache_dir=tmp_path / "cache")

    make().prepare_data()
    (first,) = (tmp_path / "cache").glob("*.npy")
    stamp = first.stat().st_mtime_ns
    make().prepare_data()
    assert [first] == list((tmp_path / "cache").glob("*.npy"))
    assert first.stat().st_mtime_ns == stamp
    Image.new("RGB", (30, 30), (255, 0, 0)).save(folder / "000.png")
    data = make()
    data.prepare_data()
    data.setup()
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 2
    assert data._images[0][0, :, 0, 0].tolist() == [255, 0, 0]


def test_decoding_counts_images_in_a_log(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress, "LOG_EVERY", 0.0)
    TableData(*write_folder(tmp_path / "a", age=range(23)), image_size=16, cache_dir=tmp_path).prepare_data()
    assert re.search(r"^decoding: 23/23, [\d.]+/s, 0:00:00 left$", capsys.readouterr().out, re.MULTILINE)


def test_a_corrupt_cache_is_named(tmp_path):
    TableData(*write_folder(tmp_path / "a", age=range(23)), image_size=16, cache_dir=tmp_path).prepare_data()
    (array,) = tmp_path.glob("*.npy")
    array.write_bytes(array.read_bytes()[:100])
    with pytest.raises(UserError, match=rf"the cache {array} cannot be read \(.*\); delete it"):
        open_array(array)
