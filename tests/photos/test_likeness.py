"""What an edit leaves alone of a photograph."""

import numpy as np
import pytest

from ifgan_pl.photos.likeness import HEAD, carry_over, oval
from tests.photos.photographs import hopper


def portrait(size: int = 256) -> np.ndarray:
    return hopper()[40 : 40 + size, 130 : 130 + size]


def test_a_zero_edit_is_the_photograph() -> None:
    photo = portrait()
    before = np.random.default_rng(0).uniform(0, 255, photo.shape).astype(np.float32)
    np.testing.assert_array_equal(carry_over(photo, before, before), photo)


def test_a_perfect_inversion_shows_the_edit_itself() -> None:
    photo = portrait()
    after = photo + np.float32(20) * (np.arange(256)[:, None, None] > 120)
    result = carry_over(photo, photo, after)
    middle = (slice(60, 200), slice(60, 200))
    np.testing.assert_allclose(result[middle], after[middle], atol=12)
    assert np.abs(result[middle] - after[middle]).mean() < 0.5


def test_what_is_far_from_a_change_stays_and_what_is_in_it_goes() -> None:
    photo = portrait().astype(np.float32)
    before = np.full_like(photo, 128)
    after = before.copy()
    after[120:200, 88:168] = 228, 178, 28
    result = carry_over(photo, before, after)
    np.testing.assert_array_equal(result[:64], photo[:64])  # fine and coarse, far from it
    inside, original = result[140:180, 108:148], photo[140:180, 108:148]
    assert inside.std(axis=(0, 1)).mean() < 0.7 * original.std(axis=(0, 1)).mean()  # what is fine is gone
    change = inside.mean((0, 1)) - original.mean((0, 1))
    assert np.abs(change - np.array([100, 50, -100])).max() < 25  # light stays


def weave(strength: float) -> np.ndarray:
    return np.where(np.indices((1024, 1024)).sum(0) % 2, strength, -strength)[..., None]


def test_the_grain_of_the_generator_stays_out_where_the_edit_changes_little() -> None:
    photo = portrait().repeat(4, axis=0).repeat(4, axis=1).astype(np.float32) * 0.5
    middle = (slice(400, 600), slice(400, 600))
    for paint, most, least in ((10, 10, 10), 0.8, 0.0), ((120, 20, 0), 3.1, 2.5):
        result = carry_over(photo, photo, photo + np.array(paint, np.float32) + weave(3))
        left = (result - photo)[middle].std((0, 1)).min()
        assert least <= left < most


def test_thin_lines_are_drawn_as_strong_as_they_are() -> None:
    """A frame of glasses two pixels wide."""
    photo = np.full((1024, 1024, 3), 160, np.float32)
    after = photo.copy()
    after[500:502, 300:700] -= 40
    result = carry_over(photo, photo, after)
    assert result[500:502, 350:650].mean() == pytest.approx(120, abs=6)  # 142 where all that is fine was blurred
    np.testing.assert_allclose(result[:480], photo[:480], atol=0.5)


def test_hair_that_turns_grey_keeps_its_curls() -> None:
    photo = np.full((256, 256, 3), 30, np.float32) + 20 * (np.indices((256, 256)).sum(0) % 8 < 4)[..., None]
    before = np.full_like(photo, 40)
    result = carry_over(photo, before, before * 2.2)
    middle = (slice(90, 160), slice(90, 160))
    assert result[middle].mean() == pytest.approx(88, abs=8)
    assert result[middle].std() > 1.7 * photo[middle].std()  # .3 of it where hair was painted over


def test_a_neck_that_grows_thin_leaves_no_stump() -> None:
    """Its edge moves by 12 of 256 pixels, also below the oval in which edits show."""
    photo, after = (np.full((256, 256, 3), 210, np.float32) for _ in range(2))
    photo[:, 80:176], after[:, 92:164] = 120, 120
    result = carry_over(photo, photo, after)[:, :, 1]
    edge = np.argmax(result < 165, axis=1)
    assert edge[150] > 90
    assert edge[-1] == 80
    assert np.diff(edge[150:]).min() >= -3  # a stump ends in a step of 12


def test_nothing_changes_far_from_the_face() -> None:
    photo = portrait().astype(np.float32) * 0.5
    result = carry_over(photo, photo, photo + 60)
    np.testing.assert_array_equal(result[:16, :16], photo[:16, :16])
    assert abs(float(result[100:156, 100:156].mean() - photo[100:156, 100:156].mean()) - 60) < 5


def test_float_and_bytes_agree() -> None:
    photo = portrait()
    before, after = np.full_like(photo, 100), np.full_like(photo, 120)
    as_bytes = carry_over(photo, before, after)
    np.testing.assert_array_equal(as_bytes, carry_over(*(x.astype(np.float64) for x in (photo, before, after))))
    assert as_bytes.dtype == np.float32


def test_a_cast_of_the_old_lips_does_not_tint_what_comes_in_their_place() -> None:
    """The generator paints red what is grey in the photograph; the light of both is the same."""
    photo = np.full((256, 256, 3), 100, np.float32)
    before, after = photo.copy(), photo.copy()
    before[140:152, 108:148] = (160, 80, 80)
    after[140:152, 108:148] = 220
    result = carry_over(photo, before, after)[143:149, 118:138].mean((0, 1))
    assert result[1] - result[0] < 12  # 43 by one blur of all
    assert result.min() > 170


def test_hair_that_ends_elsewhere_makes_no_halo() -> None:
    """In the photograph dark hair ends before the background, in the generator's image it goes on; it turns grey."""
    photo, before, after = (np.full((256, 256, 3), 210, np.float32) for _ in range(3))
    photo[:, :120], before[:, :128], after[:, :128] = 40, 40, 120
    result = carry_over(photo, before, after)[100:156]
    assert result[:, 80:110].mean() == pytest.approx(120, abs=12)
    assert result[:, 120:].max() < 215  # 264 where the photograph's light of the background falls on hair
    np.testing.assert_allclose(result[:, 150:], 210, atol=1)


def test_a_background_of_the_generators_own_stays_out() -> None:
    """The photograph's is striped; the generator makes one of its own, and another with the edit."""
    photo, before, after = (np.full((256, 256, 3), 110, np.float32) for _ in range(3))
    photo[:60] = np.where(np.arange(60)[:, None, None] % 20 < 10, 30, 190)
    after[:60] += (-20, 0, 14)
    result = carry_over(photo, before, after)
    assert np.abs(result - photo)[40:56, 100:156].mean() < 12  # 24 if what changes is painted as elsewhere
    paint = carry_over(np.full_like(photo, 110), before, after)
    np.testing.assert_allclose(paint[40:56, 100:156], after[40:56, 100:156], atol=6)


def test_edits_show_in_hair_to_its_rim_and_not_at_the_border() -> None:
    weights = oval(256, *HEAD)
    assert weights[118, 235] > 0.8  # .32 before hair kept a dark rim
    assert not weights[:, [0, -1]].any()
