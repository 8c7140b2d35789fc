"""Augmentation is a function of (seed, epoch, index), and its geometry is the one it reports."""

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from ifgan_pl.scorer.augment import augment, geometry, jpeg, soften, uniforms

INDEX = torch.tensor([3, 70_000, 5, 9])


def samples(n=4, size=32):
    return torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_uniforms_are_uniform_and_independent():
    u = uniforms(1, 2, torch.arange(20_000), 12)
    assert u.min() >= 0
    assert u.max() < 1
    np.testing.assert_allclose(u.mean(0), 0.5, atol=0.01)
    np.testing.assert_allclose(u.std(0), 12**-0.5, atol=0.01)
    correlation = np.corrcoef(u.T) - np.eye(12)
    assert abs(correlation).max() < 0.03
    assert abs(np.corrcoef(u[1:, 0], u[:-1, 0])[0, 1]) < 0.03


def test_uniforms_are_philox_s_and_the_first_ones_stay():
    philox = np.random.Philox(key=1, counter=[0, 1, 70_000, 2])
    expected = np.random.Generator(philox).random(24)
    assert uniforms(1, 2, INDEX, 24)[1].tolist() == expected.tolist()
    assert uniforms(1, 2, INDEX[1:2], 5)[0].tolist() == expected[:5].tolist()
    assert uniforms(-1, 0, INDEX, 2).shape == (4, 2)


@pytest.mark.parametrize("other", [(2, 2), (1, 3), (2, 1)])
def test_uniforms_depend_on_seed_and_epoch(other: tuple[int, int]):
    index = torch.arange(5000)
    assert abs(np.corrcoef(uniforms(1, 2, index, 1)[:, 0], uniforms(*other, index, 1)[:, 0])[0, 1]) < 0.05


def test_an_image_is_augmented_alike_in_any_batch():
    images = samples()
    whole, theta = augment(images, INDEX, seed=1, epoch=2)
    part, part_theta = augment(images[[3, 1]], INDEX[[3, 1]], seed=1, epoch=2)
    assert torch.equal(theta[[3, 1]], part_theta)
    torch.testing.assert_close(whole[[3, 1]], part, rtol=0, atol=1e-6)
    again, _ = augment(images, INDEX, seed=1, epoch=2)
    assert torch.equal(whole, again)
    later, _ = augment(images, INDEX, seed=1, epoch=3)
    assert (later - whole).abs().mean() > 0.05


def test_result_is_in_range_and_of_the_size_asked_for():
    images, theta = augment(samples(8), torch.arange(8), seed=0, epoch=0, size=24)
    assert images.shape == (8, 3, 24, 24)
    assert images.dtype == torch.float32
    assert images.abs().max() <= 1
    assert theta.shape == (8, 2, 3)


def test_strength_zero_changes_nothing():
    images = samples()
    same, theta = augment(images, INDEX, seed=1, epoch=2, strength=0.0)
    torch.testing.assert_close(same, images / 127.5 - 1, rtol=0, atol=1e-5)
    torch.testing.assert_close(theta, torch.eye(2, 3).expand(4, 2, 3))


def test_half_of_the_images_are_mirrored():
    theta = geometry(torch.from_numpy(uniforms(0, 0, torch.arange(4000), 24)), 1.0)
    mirrored = torch.linalg.det(theta[:, :, :2]) < 0
    assert abs(float(mirrored.double().mean()) - 0.5) < 0.03


def test_geometry_says_where_a_pixel_went():
    image = torch.full((64, 3, 64, 64), -1.0)
    image[:, :, 18:22, 40:44] = 1  # centred on x = .3125, y = -.375
    moved, theta = augment(image, torch.arange(64), seed=0, epoch=0, strength=1.0)
    source = torch.tensor([0.3125, -0.375])
    expected = torch.linalg.solve(theta[:, :, :2], (source - theta[:, :, 2])[..., None])[..., 0]
    light = moved.mean(1) - moved.mean((1, 2, 3))[:, None, None]
    weight = (light == light.amax((1, 2), keepdim=True)) | (light > 0.6 * light.amax((1, 2), keepdim=True))
    axis = (torch.arange(64) + 0.5) / 32 - 1
    found = torch.stack([(weight * axis).sum((1, 2)), (weight * axis[:, None]).sum((1, 2))], 1)
    found = found / weight.sum((1, 2))[:, None]
    inside = (expected.abs() < 0.8).all(1)
    assert inside.sum() > 50
    assert (found - expected)[inside].abs().median() < 0.03


def test_jpeg_is_libjpeg_s_at_each_image_s_quality():
    ramp = torch.linspace(-0.8, 0.8, 64)
    image = torch.stack([ramp[:, None] * ramp, ramp.expand(64, 64) * 0.5, (ramp[:, None] * 9).sin().expand(64, 64)])
    stored = ((image + 1) * 127.5).round().byte()
    qualities = (30, 60, 90)
    ours = jpeg((stored / 127.5 - 1).expand(3, 3, 64, 64), torch.tensor(qualities).float())
    for quality, result in zip(qualities, ours, strict=True):
        buffer = BytesIO()
        Image.fromarray(stored.permute(1, 2, 0).numpy()).save(buffer, "jpeg", quality=quality, subsampling=0)
        reference = torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1)
        torch.testing.assert_close(result, reference / 127.5 - 1)
    loss = (ours - image).abs().mean((1, 2, 3))
    assert loss[0] > loss[1] > loss[2] > 0


def test_blur_lowers_and_sharpening_raises_contrast_of_detail():
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    blurred, same, sharp = (soften(image, torch.tensor([a])) for a in (0.8, 0.0, -0.4))
    assert blurred.std() < 0.7 * image.std()
    assert torch.equal(same, image)
    assert sharp.std() > 1.2 * image.std()
    flat = torch.full((1, 3, 8, 8), 0.3)
    torch.testing.assert_close(soften(flat, torch.tensor([0.9])), flat)
