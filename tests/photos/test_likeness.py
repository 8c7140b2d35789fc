"""What an edit leaves alone of a photograph."""

import numpy as np

from ifgan_pl.photos.likeness import carry_over
from tests.photos.photographs import hopper


def portrait(size: int = 256) -> np.ndarray:
    return hopper()[40 : 40 + size, 130 : 130 + size]


def test_a_zero_edit_is_the_photograph() -> None:
    photo = portrait()
    before = np.random.default_rng(0).uniform(0, 255, photo.shape).astype(np.float32)
    np.testing.assert_array_equal(carry_over(photo, before, before), photo)


def test_a_perfect_inversion_carries_nothing() -> None:
    photo = portrait()
    after = photo[::-1].astype(np.float32)
    np.testing.assert_allclose(carry_over(photo, photo, after), after, atol=1e-3)


def test_what_is_far_from_a_change_stays_and_what_is_in_it_goes() -> None:
    photo = portrait().astype(np.float32)
    before = np.full_like(photo, 128)
    after = before.copy()
    after[160:240, 96:176] = 228
    result = carry_over(photo, before, after)
    np.testing.assert_array_equal(result[:64], photo[:64])  # fine and coarse, far from it
    inside = result[180:220, 116:156]
    fine = photo[180:220, 116:156] - photo[180:220, 116:156].mean((0, 1))
    assert inside.std(axis=(0, 1)).mean() < 0.7 * fine.std(axis=(0, 1)).mean()  # only what is coarse was carried over
    assert abs(inside.mean() - (photo[180:220, 116:156].mean() + 100)) < 15  # light stays


def test_float_and_bytes_agree() -> None:
    photo = portrait()
    before, after = np.full_like(photo, 100), np.full_like(photo, 120)
    as_bytes = carry_over(photo, before, after)
    np.testing.assert_array_equal(as_bytes, carry_over(*(x.astype(np.float64) for x in (photo, before, after))))
    assert as_bytes.dtype == np.float32
