"""Statistics of labels, and labels under augmentation."""

import pytest
import torch

from ifgan_pl.core.errors import UserError
from ifgan_pl.data.celeba import COORDINATES
from ifgan_pl.scorer.augment import augment
from ifgan_pl.scorer.labels import label_statistics, moved_labels

NAN = torch.nan


def test_labels_follow_the_augmentation():
    attributes = [*COORDINATES, "yaw"]
    sign = torch.tensor([1.0] * 10 + [-1.0])
    points = torch.tensor([[-0.4, -0.2], [0.35, -0.25], [0.0, 0.1], [-0.3, 0.4], [0.25, 0.45]])
    image = torch.full((200, 3, 64, 64), -1.0)
    target = torch.cat([points.flatten(), torch.tensor([1.5])]).expand(200, -1)
    _, theta = augment(image, torch.arange(200), seed=0, epoch=0)
    moved = moved_labels(target, theta, attributes, sign)
    mirrored = torch.linalg.det(theta[:, :, :2]) < 0
    assert torch.equal(moved[:, -1] < 0, mirrored)
    xy = moved[:, :10].reshape(-1, 5, 2)
    # left stays left in the image, and every point is the image of its source
    assert (xy[:, 0, 0] < xy[:, 1, 0]).all()
    assert (xy[:, 3, 0] < xy[:, 4, 0]).all()
    source = torch.einsum("nij,npj->npi", theta[:, :, :2], xy) + theta[:, None, :, 2]
    expected = torch.where(mirrored[:, None, None], points[[1, 0, 2, 4, 3]], points)
    torch.testing.assert_close(source, expected, atol=1e-5, rtol=0)


def test_statistics_are_those_of_the_known_labels():
    targets = torch.tensor([[1.0, 30.0, 7.0], [0.0, NAN, 7.0], [NAN, 50.0, NAN]])
    mean, std = label_statistics(targets, ["smile", "age", "shoe"])
    assert mean.tolist() == [0.5, 40.0, 7.0]
    assert std.tolist() == [0.5, 10.0, 0.0]


def test_an_attribute_without_a_label_is_named():
    targets = torch.tensor([[1.0, NAN, NAN], [0.0, NAN, NAN]])
    with pytest.raises(UserError, match="no training row has a label of age, shoe: label some"):
        label_statistics(targets, ["smile", "age", "shoe"])
    with pytest.raises(ValueError, match=r"\(N, 2\) labels expected, got \(2, 3\)"):
        label_statistics(targets, ["smile", "age"])
