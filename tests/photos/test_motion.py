"""How an edit moves a face: of a photograph that is moved here, by a known amount."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ifgan_pl.photos.alignment import align, face_quad
from ifgan_pl.photos.motion import FARTHEST, blurred, flow, warp
from tests.photos.photographs import HOPPER_POINTS, hopper


def portrait() -> Tensor:
    """(3, 256, 256)."""
    return torch.from_numpy(align(hopper(), face_quad(HOPPER_POINTS), 256).astype(np.float32)).permute(2, 0, 1)


def bump() -> Tensor:
    """(1, 2, 256, 256): the middle of the image comes from up to 4 pixels to the right and 2 above."""
    place = (torch.arange(256) + 0.5) / 256 - 0.5
    hill = torch.exp(-(place.square() + place.square()[:, None]) / 0.15**2 / 2)
    return torch.stack([4 / 256 * hill, -2 / 256 * hill])[None]


def test_a_known_motion_is_found() -> None:
    photo, motion = portrait(), bump()
    moved = warp(photo[None], motion)[0]
    found = flow(photo, moved)
    middle = (slice(None), slice(80, 176), slice(80, 176))
    assert float((found[middle] - motion[0][middle]).norm(dim=0).mean()) * 256 < 1
    assert float(found[:, :32].norm(dim=0).mean()) * 256 < 0.3
    left = (warp(photo[None], found[None])[0] - moved)[middle].abs().mean()
    assert float(left) < 0.4 * float((photo - moved)[middle].abs().mean())


def test_colours_are_no_motion() -> None:
    photo = portrait()
    assert float(flow(photo, 0.8 * photo + 30).abs().max()) * 256 < 0.5


def test_equal_images_stand_still_exactly() -> None:
    photo = portrait()
    assert not flow(photo, photo).any()
    assert torch.equal(warp(photo[None], torch.zeros(1, 2, 64, 64))[0], photo)


def test_nothing_moves_far() -> None:
    photo = portrait()
    assert float(flow(photo, photo.flip(2)).abs().max()) <= FARTHEST + 1e-6


def test_a_blur_keeps_what_is_even_and_sums() -> None:
    assert torch.allclose(blurred(torch.ones(1, 1, 32, 32), 3.0), torch.ones(1, 1, 32, 32))
    point = F.pad(torch.ones(1, 1, 1, 1), (16, 15, 16, 15))
    assert abs(float(blurred(point, 2.0).sum()) - 1) < 1e-3


def test_motion_turns_slowly() -> None:
    """What appears in the edit, here noise, is no reason to move what is there to and fro."""
    photo = portrait()
    noise = torch.from_numpy(np.random.default_rng(0).uniform(0, 255, (3, 64, 64)).astype(np.float32))
    new = photo.clone()
    new[:, 96:160, 96:160] = noise
    found = flow(photo, new) * 256
    assert float((found[:, :, 1:] - found[:, :, :-1]).abs().max()) < 0.3  # 1.4 with a blur of one pixel
