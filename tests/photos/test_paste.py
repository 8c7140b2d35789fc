from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ifgan_pl.photos.alignment import align, apply, face_quad, side, similarity, square
from ifgan_pl.photos.paste import GRID, feather, match_colours, paste, warp
from tests.photos.photographs import HOPPER_POINTS, hopper, rolled, rolled_points

SIZE = 256
QUAD = face_quad(HOPPER_POINTS)


def painted(image: NDArray[Any]) -> NDArray[Any]:
    """An aligned image with a red spot on the mouth."""
    y, x = np.mgrid[: len(image), : len(image)] / len(image)
    spot = np.exp(-((((x - 0.5) / 0.12) ** 2 + ((y - 0.75) / 0.06) ** 2) ** 2))[..., None]
    return np.asarray(image * (1 - spot) + spot * np.array([200.0, 30.0, 50.0]))


def mouth(pixels: NDArray[Any]) -> NDArray[Any]:
    x, y = HOPPER_POINTS[2].astype(int)
    return np.asarray(pixels[y - 3 : y + 4, x - 3 : x + 4].astype(float).mean((0, 1)))


def inside(quad: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Which pixels of a photograph lie within a quad."""
    places = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=2) - quad[0]
    sides = np.stack([quad[3] - quad[0], quad[1] - quad[0]]) / side(quad) ** 2
    return np.asarray(((places @ sides.T > 0) & (places @ sides.T < 1)).all(2))


@pytest.mark.parametrize("match", [False, True])
def test_a_zero_edit_gives_the_photograph_to_the_bit(match: bool) -> None:
    aligned = align(hopper(), QUAD, SIZE)
    result = paste(hopper(), QUAD, aligned, aligned, match=match)
    assert result is not hopper()
    assert np.abs(result.astype(int) - hopper()).max() <= int(match)  # a fit is exact up to rounding
    np.testing.assert_array_equal(paste(hopper(), QUAD, aligned, aligned.copy()), hopper())


def test_the_change_arrives_where_it_belongs_and_nowhere_else() -> None:
    aligned = align(hopper(), QUAD, SIZE)
    result = paste(hopper(), QUAD, aligned, painted(aligned))
    np.testing.assert_allclose(mouth(result), [200, 30, 50], atol=12)
    outside = ~inside(QUAD, 600, 512)
    assert outside.any()
    np.testing.assert_array_equal(result[outside], hopper()[outside])
    again = align(result, QUAD, SIZE).astype(float)
    middle = slice(SIZE // 5, -SIZE // 5)
    assert np.abs(again - painted(aligned))[middle, middle].mean() < 1


@pytest.mark.parametrize("scale", [0.25, 1, 4])
def test_the_photograph_may_be_coarser_or_finer_than_the_aligned_image(scale: float) -> None:
    size = (int(512 * scale), int(600 * scale))
    pixels = np.asarray(Image.fromarray(hopper()).resize(size, Image.Resampling.LANCZOS))
    quad = (QUAD + 0.5) * scale - 0.5
    aligned = align(pixels, quad, SIZE)
    result = paste(pixels, quad, aligned, painted(aligned))
    again = align(result, quad, SIZE).astype(float)
    middle = slice(SIZE // 5, -SIZE // 5)
    assert np.abs(again - painted(aligned))[middle, middle].mean() < 1.5


def test_a_change_is_turned_with_the_face() -> None:
    pixels = rolled(hopper(), 30)
    quad = face_quad(rolled_points(HOPPER_POINTS, hopper(), 30))
    aligned = align(pixels, quad, SIZE)
    result = paste(pixels, quad, aligned, painted(aligned))
    expected = rolled(paste(hopper(), QUAD, align(hopper(), QUAD, SIZE), painted(align(hopper(), QUAD, SIZE))), 30)
    assert np.abs(result.astype(int) - expected).mean() < 0.3


def test_warping_is_the_inverse_of_aligning() -> None:
    """An array that names its places comes out at the places that the similarity says."""
    places = np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE)), axis=2).astype(np.float32)
    change = np.concatenate([places, np.ones((SIZE, SIZE, 1), np.float32)], axis=2)
    quad = square(np.array([70.0, 60.0]), np.array([40.0, 15.0]))
    warped = warp(change, quad, (20, 10, 120, 115))
    x, y = np.meshgrid(np.arange(20, 120), np.arange(10, 115))
    back = apply(similarity(quad, SIZE), warped[..., :2])
    middle = inside(square(np.array([70.0, 60.0]), np.array([36.0, 13.5])), 115, 120)[10:, 20:]
    assert middle.sum() > 5000
    np.testing.assert_allclose(back[middle], np.stack([x, y], axis=2)[middle], atol=0.2)
    outside = ~inside(square(np.array([70.0, 60.0]), np.array([42.0, 15.75])), 115, 120)[10:, 20:]
    assert not warped[outside].any()


def test_a_face_at_the_border_is_edited_up_to_the_border() -> None:
    left = int(HOPPER_POINTS[2, 0])
    pixels, quad = hopper()[:, left:], QUAD - [left, 0]
    aligned = align(pixels, quad, SIZE)
    result = paste(pixels, quad, aligned, painted(aligned))
    y = int(HOPPER_POINTS[2, 1])
    np.testing.assert_allclose(result[y - 3 : y + 4, :9].mean((0, 1)), [200, 30, 50], atol=20)
    away = quad - [5000, 0]
    np.testing.assert_array_equal(paste(pixels, away, aligned, painted(aligned)), pixels)


def test_detail_that_the_aligned_image_cannot_show_stays() -> None:
    """Noise of single pixels lies upon a face whose aligned image is four times coarser."""
    noise = np.random.default_rng(0).integers(-20, 20, (600, 512, 1))
    pixels = (hopper().astype(int) + noise).clip(0, 255).astype(np.uint8)
    aligned = align(pixels, QUAD, 64)
    result = paste(pixels, QUAD, aligned, aligned + 10.0)
    change = result[190:290, 220:310].astype(int) - pixels[190:290, 220:310]
    assert (change[pixels[190:290, 220:310] < 245] == 10).all()


def test_the_feather_is_whole_inside_and_gone_at_the_edges() -> None:
    weights = feather(200)
    assert weights[40:160, 40:160].min() == 1
    for edge in (weights[:2], weights[-2:], weights[:, :2], weights[:, -2:]):
        assert edge.max() == 0
    np.testing.assert_array_equal(weights, weights.T)
    assert np.abs(np.diff(weights, axis=0)).max() < 0.1


def test_matched_colours_take_a_cast_back_and_leave_the_edit() -> None:
    aligned = align(hopper(), QUAD, SIZE).astype(np.float32)
    cast = painted(aligned) * np.array([1.12, 1.0, 0.88]) + np.array([8, -3, 5])
    matched = match_colours(aligned, cast)
    away = np.abs(matched - painted(aligned))
    assert away.mean() < 1
    result = paste(hopper(), QUAD, aligned, cast, match=True)
    np.testing.assert_allclose(mouth(result), [200, 30, 50], atol=15)
    seam = paste(hopper(), QUAD, aligned, cast).astype(int) - hopper()
    assert np.abs(result.astype(int) - hopper())[: int(HOPPER_POINTS[0, 1])].mean() < np.abs(seam).mean() / 4


def test_matched_colours_agree_at_a_rim_that_changed_in_places() -> None:
    grey = np.full((SIZE, SIZE, 3), 120, np.float32)
    lit = grey + np.linspace(-30, 30, SIZE, dtype=np.float32)[:, None, None]
    matched = match_colours(grey, lit)
    rim = 1 - feather(SIZE) > 0.9
    assert np.abs(matched - grey)[rim].mean() < 8
    seen = np.ones((GRID, GRID))
    seen[: GRID // 2] = 0  # what lies outside the photograph has no say
    half = match_colours(grey, np.where(np.arange(SIZE)[:, None, None] < SIZE // 2, 250, grey), seen)
    assert np.abs(half - grey)[-20:].mean() < 1


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(8, 8, 3\)"):
        paste(hopper(), QUAD, np.zeros((8, 8, 3)), np.zeros((9, 9, 3)))
    with pytest.raises(ValueError, match=r"\(8, 9, 3\)"):
        paste(hopper(), QUAD, np.zeros((8, 9, 3)), np.zeros((8, 9, 3)))
