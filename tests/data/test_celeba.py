"""CelebA on its real layout, in miniature, through torchvision's reader."""

import math

import pytest
import torch
from torchvision.datasets import CelebA

from ifgan_pl.core.errors import UserError
from ifgan_pl.data.celeba import COORDINATES, CelebAData, yaw_from_landmarks
from tests.data.files import write_celeba

NAMES = ("Eyeglasses", "Male", "Smiling", "Young")
HEAD = (  # left eye, right eye, nose, corners of the mouth: in half eye distances, nose in front of the others
    (-1.0, 0.0, 0.0),
    (1.0, 0.0, 0.0),
    (0.0, 1.2, 1.0),
    (-0.8, 2.2, 0.0),
    (0.8, 2.2, 0.0),
)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(CelebA, "_check_integrity", lambda self: True)
    write_celeba(tmp_path, NAMES)
    return tmp_path


def test_labels_partition_and_images(root):
    data = CelebAData(root, image_size=32, batch_size=5, cache_dir=root / "cache")
    assert list(data.attributes) == ["eyeglasses", "male", "smile", "young", *COORDINATES, "yaw"]
    data.prepare_data()
    data.setup()
    assert [len(data.rows(s)) for s in ("train", "select", "report")] == [20, 5, 5]
    targets = data.labels.targets
    assert targets[2, :4].tolist() == [1, 1, 0, 0]  # image 3 = 0b0011
    assert targets[:, 4:14].abs().max() < 1
    assert targets[0, 4] == pytest.approx((69 + 0.5) / 89 - 1)  # left_eye_x over the centre square of 178
    assert targets[0, 5] == pytest.approx((111 - 20 + 0.5) / 89 - 1)
    batch = next(iter(data.train_dataloader()))
    assert batch["image"].shape == (5, 3, 32, 32)
    right = targets[(torch.arange(30) + 1) % 17 == 16, -1]
    left = targets[(torch.arange(30) + 1) % 17 == 0, -1]
    assert right.min() > 0 > left.max()


def test_a_choice_of_attributes(root):
    data = CelebAData(root, attributes=["smile", "young"], landmarks=False)
    assert dict(data.attributes) == {"smile": "binary", "young": "binary"}
    with pytest.raises(UserError, match="no attribute beard; it has eyeglasses, male, smile, young"):
        CelebAData(root, attributes=["beard"]).prepare_data()


def test_missing_files_are_listed(root):
    (root / "celeba" / "list_eval_partition.txt").unlink()
    with pytest.raises(UserError, match=r"list_eval_partition\.txt missing"):
        CelebAData(root).prepare_data()


@pytest.mark.parametrize("roll", [0.0, 20.0])
def test_yaw_of_a_turned_head(roll):
    degrees = torch.tensor([-60.0, -30.0, 0.0, 10.0, 45.0])
    head = torch.tensor(HEAD)
    points = []
    for angle in degrees.tolist():
        a, r = math.radians(angle), math.radians(roll)
        x = head[:, 0] * math.cos(a) + head[:, 2] * math.sin(a)
        y = head[:, 1]
        points.append(torch.stack([x * math.cos(r) - y * math.sin(r), x * math.sin(r) + y * math.cos(r)], 1) * 40 + 90)
    torch.testing.assert_close(yaw_from_landmarks(torch.stack(points)), degrees, atol=1e-3, rtol=0)


def test_other_files_of_the_same_names_are_not_the_published_ones(tmp_path):
    write_celeba(tmp_path, NAMES)
    with pytest.raises(UserError, match=r"celeba: Dataset not found or corrupted"):
        CelebAData(tmp_path).setup()
