import numpy as np
import pytest
from PIL import Image

from ifgan_pl.core.errors import UserError
from ifgan_pl.photos.alignment import align, apply, eyes_and_mouth, face_quad, inverse, side, similarity, square
from tests.photos.photographs import HOPPER_POINTS, hopper

POINTS = np.array([[100.0, 120.0], [160.0, 130.0], [125.0, 190.0]])


def test_the_quad_is_the_published_one() -> None:
    """FFHQ's published recipe, worked by hand: eyes 4 apart, the mouth 3 below them."""
    quad = face_quad([[8, 10], [12, 10], [10, 13]])
    # x = (4, 0) - (-3, 0), of length max(2 · 4, 1.8 · 3) = 8; the centre lies .1 · 3 below the eyes
    np.testing.assert_allclose(quad, [[2, 2.3], [2, 18.3], [18, 18.3], [18, 2.3]])
    # a long face: 1.8 · 6 = 10.8
    np.testing.assert_allclose(side(face_quad([[8, 10], [12, 10], [10, 16]])), 21.6)


def test_eyes_and_mouth_are_those_of_68_landmarks() -> None:
    landmarks = np.full((68, 2), np.nan)
    landmarks[36:42] = [[0, 0], [1, -1], [2, -1], [3, 0], [2, 1], [1, 1]]
    landmarks[42:48] = landmarks[36:42] + np.array([10, 0])
    landmarks[[48, 54]] = [[3, 9], [9, 11]]
    np.testing.assert_allclose(eyes_and_mouth(landmarks), np.array([[1.5, 0], [11.5, 0], [6, 10]]))
    with pytest.raises(ValueError, match=r"\(67, 2\)"):
        eyes_and_mouth(landmarks[:67])


def test_a_quad_is_a_square_that_follows_the_face() -> None:
    quad = face_quad(POINTS)
    sides = np.roll(quad, -1, axis=0) - quad
    np.testing.assert_allclose(np.hypot(*sides.T), side(quad))
    np.testing.assert_allclose((sides * np.roll(sides, 1, axis=0)).sum(1), 0, atol=1e-9)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]]) * 2.5
    np.testing.assert_allclose(face_quad(POINTS @ turn.T + [30, -4]), quad @ turn.T + [30, -4])


def test_eyes_may_come_in_either_order() -> None:
    np.testing.assert_allclose(face_quad(POINTS[[1, 0, 2]]), face_quad(POINTS))
    upside_down = -POINTS
    np.testing.assert_allclose(face_quad(upside_down), -face_quad(POINTS))


@pytest.mark.parametrize(
    "points",
    [
        [[0, 0], [10, 0], [20, 0]],
        [[5, 5], [5, 5], [5, 9]],
        [[0, 0], [10, 0], [5, 0.2]],
        [[0, 0], [10, 0], [np.nan, 9]],
        [[0, 0], [10, 0], [5, np.inf]],
    ],
)
def test_points_that_make_no_face_are_refused(points: list[list[float]]) -> None:
    with pytest.raises(UserError, match="three different points"):
        face_quad(points)


def test_the_similarity_takes_the_aligned_image_to_the_quad_and_back() -> None:
    quad, size = face_quad(POINTS), 64
    there = similarity(quad, size)
    corners = np.array([[0, 0], [0, size], [size, size], [size, 0]]) - 0.5  # the outer corners of the corner pixels
    np.testing.assert_allclose(apply(there, corners), quad)
    np.testing.assert_allclose(apply(inverse(there), apply(there, POINTS)), POINTS)
    np.testing.assert_allclose(there[:, 0] @ there[:, 1], 0, atol=1e-9)


@pytest.mark.parametrize("zoom", [0.5, 3, 9])
@pytest.mark.parametrize("degrees", [0, 33])
def test_align_samples_where_the_similarity_says(zoom: float, degrees: float) -> None:
    """An image that names its places by its colours: each aligned pixel tells where it was taken from."""
    size, centre = 64, np.array([500.0, 460.0])
    angle = np.deg2rad(degrees)
    quad = square(centre, np.array([np.cos(angle), np.sin(angle)]) * zoom * size / 2)
    step = zoom * size * 1.5 / 255  # pixels a level
    places = np.stack(np.meshgrid(np.arange(1000), np.arange(1000)), axis=2) - centre
    pixels = np.zeros((1000, 1000, 3), np.uint8)
    pixels[..., :2] = np.rint(places / step + 128).clip(0, 255)
    across, down = np.meshgrid(np.arange(size), np.arange(size))
    expected = apply(similarity(quad, size), np.stack([across, down], axis=2)) - centre
    found = (align(pixels, quad, size)[..., :2] + 0.5 - 128) * step  # Pillow's transform cuts fractions off
    assert np.abs(found - expected).max() < 1.5 * max(step, zoom)
    assert np.abs((found - expected).mean((0, 1))).max() < 0.1 * zoom  # of a pixel of the aligned image


def test_a_quad_on_the_pixels_gives_the_pixels() -> None:
    part = hopper()[100:356, 120:376]
    quad = square(np.array([120 + 127.5, 100 + 127.5]), np.array([128.0, 0]))
    change = align(hopper(), quad, 256).astype(int) - part
    assert np.abs(change).mean() < 2.5  # a bilinear enlargement and an average soften it; half a pixel aside it is 5


def test_sizes_show_the_same() -> None:
    quad = face_quad(HOPPER_POINTS)
    large = Image.fromarray(align(hopper(), quad, 512)).resize((128, 128), Image.Resampling.LANCZOS)
    assert np.abs(np.asarray(large, int) - align(hopper(), quad, 128)).mean() < 1


def test_beyond_the_border_the_photograph_is_mirrored_and_fades() -> None:
    quad, size = square(np.array([265.0, 230.0]), np.array([180.0, 0])), 256
    left = int(quad[:, 0].min() + 0.3 * side(quad))
    whole, cut = align(hopper(), quad, size), align(hopper()[:, left:], quad - [left, 0], size)
    inside = slice(int(0.42 * size), None)  # the blur reaches .1 of the side into the photograph
    assert np.abs(whole[:, inside].astype(int) - cut[:, inside]).mean() < 0.2
    edge = round(0.3 * size)
    assert np.abs(cut[:, edge - 12 : edge].mean(1) - cut[:, edge : edge + 12].mean(1)).mean() < 12
    gradient = np.abs(np.diff(cut.astype(int), axis=0)).mean((0, 2))
    assert gradient[: edge // 2].mean() < 0.25 * gradient[inside].mean()


def test_a_face_far_larger_than_the_photograph_is_padded_on_all_sides() -> None:
    pixels = hopper()[::8, ::8]
    quad = square(np.array([30.0, 35.0]), np.array([200.0, 0]))
    aligned = align(pixels, quad, 64)
    assert aligned.shape == (64, 64, 3)
    for corner in (aligned[:8, :8], aligned[:8, -8:], aligned[-8:, :8], aligned[-8:, -8:]):
        assert corner.std((0, 1)).max() < 15
    assert aligned[24:40, 24:40].std((0, 1)).max() > 30


def test_a_quad_outside_the_photograph_is_refused() -> None:
    with pytest.raises(UserError, match="outside"):
        align(hopper(), square(np.array([-900.0, 300]), np.array([100.0, 0])))
