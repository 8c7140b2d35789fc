"""FFHQ with the public features, on their real layout, in miniature."""

import json
import logging

import pytest
from PIL import Image

from ifgan_pl.core.errors import UserError
from ifgan_pl.data.ffhq import FFHQData, read_features


def face(width=100, **changes):
    attributes = {
        "smile": 0.9,
        "headPose": {"pitch": -3.0, "roll": 1.0, "yaw": 12.5},
        "gender": "female",
        "age": 31.0,
        "facialHair": {"moustache": 0.0, "beard": 0.0, "sideburns": 0.0},
        "glasses": "NoGlasses",
    }
    rectangle = {"top": 1, "left": 1, "width": width, "height": width}
    return {"faceId": "0", "faceRectangle": rectangle, "faceAttributes": attributes | changes}


def write(root, index, faces):
    path = root / "images" / f"{index // 1000 * 1000:05d}" / f"{index:05d}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (32, 32)).save(path)
    (root / "json").mkdir(exist_ok=True)
    (root / "json" / f"{index:05d}.json").write_text(faces if isinstance(faces, str) else json.dumps(faces))


def test_labels_and_official_split(tmp_path, caplog):
    for i in range(25):
        write(tmp_path, i, [face()])
    write(tmp_path, 25, [face(50, gender="male"), face(80, glasses="Sunglasses", age=70.0)])
    write(tmp_path, 26, [])
    write(tmp_path, 27, "{broken")
    write(tmp_path, 60_000, [face(glasses="ReadingGlasses", gender="male")])
    data = FFHQData(tmp_path / "images", tmp_path / "json", image_size=16, cache_dir=tmp_path / "cache")
    with caplog.at_level(logging.WARNING):
        table = data.table
    assert "left out 1 images without readable features: 00027.png" in caplog.text
    assert "left out 1 images in which the features see no face: 00026.png" in caplog.text
    assert list(data.attributes) == ["eyeglasses", "smile", "male", "age", "yaw", "pitch"]
    assert table.targets[0].tolist() == pytest.approx([0, 0.9, 0, 31, 12.5, -3])
    assert table.targets[25].tolist() == pytest.approx([1, 0.9, 0, 70, 12.5, -3])  # the larger face
    assert table.targets[26].tolist() == pytest.approx([1, 0.9, 1, 31, 12.5, -3])
    assert [(table.split == s).sum() for s in ("train", "select", "report")] == [25, 1, 1]
    data.prepare_data()
    assert next(iter(data.test_dataloader()))["image"].shape == (1, 3, 16, 16)


def test_no_features(tmp_path):
    write(tmp_path, 0, "nothing")
    with pytest.raises(UserError, match="no image in"):
        FFHQData(tmp_path / "images", tmp_path / "json").prepare_data()
    with pytest.raises(UserError, match="no such folder"):
        FFHQData(tmp_path / "images", tmp_path / "elsewhere").prepare_data()


def test_unknown_gender_is_missing(tmp_path):
    write(tmp_path, 0, [face(gender="genderless")])
    features = read_features(tmp_path / "json" / "00000.json")
    assert features is not None
    assert features[2] != 0
