import logging

import numpy as np
import pytest
from PIL import Image, ImageCms

from ifgan_pl.photos.colours import to_rgb
from tests.photos.photographs import hopper

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def image() -> Image.Image:
    return Image.fromarray(hopper()[100:140, 200:260])


def grey() -> np.ndarray:
    return np.asarray(image().convert("L"))


def test_rgb_is_kept_to_the_bit_with_its_profile() -> None:
    source = image()
    source.info["icc_profile"] = SRGB
    pixels, alpha, is_grey, icc = to_rgb(source)
    np.testing.assert_array_equal(pixels, np.asarray(source))
    assert (alpha, is_grey, icc) == (None, False, SRGB)
    assert pixels.flags.writeable


@pytest.mark.parametrize(
    "values",
    [
        grey().astype(np.uint16) * 257,
        grey().astype(np.int32) * 257,
        grey().astype(np.int32),
        grey().astype(np.float32),
        grey().astype(np.float32) / 255,
        grey(),
    ],
    ids=["16 bits", "16 bits in 32", "8 bits in 32", "floats", "floats to 1", "8 bits"],
)
def test_grey_of_any_depth(values: np.ndarray) -> None:
    pixels, alpha, is_grey, icc = to_rgb(Image.fromarray(values))
    np.testing.assert_array_equal(pixels, np.repeat(grey()[..., None], 3, axis=2))
    assert (alpha, is_grey, icc) == (None, True, None)


def test_floats_that_are_no_numbers_are_black() -> None:
    values = np.full((2, 2), np.nan, np.float32)
    values[0, 0] = 1
    assert to_rgb(Image.fromarray(values)).pixels[..., 0].tolist() == [[255, 0], [0, 0]]


@pytest.mark.parametrize("mode", ["LA", "La", "RGBA", "RGBa", "PA"])
def test_transparency_is_kept_apart(mode: str) -> None:
    source = image().convert("RGBA")
    opacity = np.full((40, 60), 255, np.uint8)
    opacity[:10] = 40
    source.putalpha(Image.fromarray(opacity))
    source = source.convert("LA").convert("La") if mode == "La" else source.convert(mode)
    pixels, alpha, is_grey, _ = to_rgb(source)
    assert alpha is not None
    np.testing.assert_array_equal(alpha, opacity)
    assert is_grey is (mode in ("LA", "La"))
    assert pixels.shape == (40, 60, 3)


def test_one_colour_may_be_the_transparent_one() -> None:
    source = image().convert("L")
    source.info["transparency"] = int(grey()[0, 0])
    alpha = to_rgb(source).alpha
    assert alpha is not None
    np.testing.assert_array_equal(alpha == 0, grey() == grey()[0, 0])


def test_an_alpha_channel_that_hides_nothing_is_none() -> None:
    assert to_rgb(image().convert("RGBA")).alpha is None


@pytest.mark.parametrize("mode", ["CMYK", "LAB", "YCbCr", "HSV", "P", "RGBX"])
def test_other_spaces_look_the_same(mode: str) -> None:
    if mode == "LAB":
        source = ImageCms.profileToProfile(
            image(), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
        )
        assert source is not None
    else:
        source = image().quantize(256) if mode == "P" else image().convert(mode)
    pixels, alpha, is_grey, icc = to_rgb(source)
    assert np.abs(pixels.astype(int) - np.asarray(image())).mean() < 3
    assert (alpha, is_grey, icc) == (None, False, None)


def test_a_profile_that_is_not_of_the_pixels_goes(caplog: pytest.LogCaptureFixture) -> None:
    source = image().convert("CMYK")
    source.info["icc_profile"] = b"no profile" * 40
    with caplog.at_level(logging.WARNING):
        pixels, _, _, icc = to_rgb(source)
    assert icc is None
    assert "colour profile" in caplog.text
    assert np.abs(pixels.astype(int) - np.asarray(image())).mean() < 3
    grey_with_rgb = image().convert("L")
    grey_with_rgb.info["icc_profile"] = SRGB
    assert to_rgb(grey_with_rgb).icc is None
