"""Mixtures of data sets."""

import pytest

from ifgan_pl.core.errors import UserError
from ifgan_pl.data.mixed import MixedData
from ifgan_pl.data.table import TableData
from tests.data.files import write_folder


def test_mixture_masks_what_a_part_does_not_label(tmp_path):
    faces = TableData(
        *write_folder(tmp_path / "a", smile=[i % 2 for i in range(23)], age=range(20, 43)),
        image_size=16,
        cache_dir=tmp_path / "cache",
    )
    photographs = TableData(
        *write_folder(tmp_path / "b", count=21, age=range(21), shoe=range(21)),
        image_size=16,
        cache_dir=tmp_path / "cache",
    )
    data = MixedData(faces, [photographs], batch_size=8)
    data.prepare_data()
    data.setup()
    assert dict(data.attributes) == {"smile": "binary", "age": "continuous"}
    targets = data.train_targets()
    assert len(targets) == len(faces.rows("train")) + len(photographs.rows("train"))
    assert targets[:, 0].isnan().sum() == len(photographs.rows("train"))
    assert not targets[:, 1].isnan().any()
    assert len(data.rows("report")) == len(faces.rows("report"))
    batch = next(iter(data.train_dataloader()))
    for image, index, target in zip(batch["image"], batch["index"].tolist(), batch["target"], strict=True):
        row = index if index < 23 else index - 23
        assert (image == 10 * row).all()
        assert target[1] == (20 + index if index < 23 else row)


def test_mixture_of_unrelated_labels_is_refused(tmp_path):
    one = TableData(*write_folder(tmp_path / "a", smile=[0] * 23), cache_dir=tmp_path)
    other = TableData(*write_folder(tmp_path / "b", shoe=range(23)), cache_dir=tmp_path)
    with pytest.raises(UserError, match=r"nothing in common between shoe and smile"):
        MixedData(one, [other]).prepare_data()
