from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from ifgan_pl.core.errors import UserError
from ifgan_pl.images.write import DESCRIPTION, read_provenance
from ifgan_pl.photos import open_photo, save_photo
from tests.photos.photographs import HOPPER, hopper

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PROVENANCE = {"edit": "ñ smile=+1", "generator": "ffhq-mobile"}
SUFFIXES = [".jpg", ".png", ".webp"]
ORIENTATION, MODEL, EXPOSURE, EXIF_FOLDER, GPS_FOLDER, WIDTH, HEIGHT = 274, 272, 0x829A, 0x8769, 0x8825, 0xA002, 0xA003


def exif() -> bytes:
    block = Image.Exif()
    block[ORIENTATION], block[MODEL], block[DESCRIPTION] = 6, "a camera", "my holidays"
    block.get_ifd(EXIF_FOLDER).update({EXPOSURE: 0.01, WIDTH: 600, HEIGHT: 512})
    block.get_ifd(GPS_FOLDER).update({1: "N"})
    return block.tobytes()


@pytest.mark.parametrize("source", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_metadata_are_kept_and_the_orientation_is_upright(source: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"in{source}"
    Image.fromarray(hopper()).transpose(Image.Transpose.ROTATE_90).save(path, exif=exif(), icc_profile=SRGB)
    photo = open_photo(path)
    save_photo(tmp_path / f"out{suffix}", photo, photo.pixels, PROVENANCE)
    with Image.open(tmp_path / f"out{suffix}") as written:
        block = written.getexif()
        folder = block.get_ifd(EXIF_FOLDER)
        assert written.size == (512, 600)
        assert written.info["icc_profile"] == SRGB
        assert block[MODEL] == "a camera"
        assert ORIENTATION not in block
        assert (folder[EXPOSURE], folder[WIDTH], folder[HEIGHT]) == (0.01, 512, 600)
        assert block.get_ifd(GPS_FOLDER)[1] == "N"
        assert not {*block} & {256, 257, 273, 279}  # where the pixels of a TIFF file lie
    assert np.abs(open_photo(tmp_path / f"out{suffix}").pixels.astype(int) - hopper()).mean() < 5
    found = read_provenance(tmp_path / f"out{suffix}")
    assert PROVENANCE.items() <= found.items()
    assert "my holidays" in (block[DESCRIPTION], found.get("description"))


def test_the_thumbnail_of_the_face_before_goes(tmp_path: Path) -> None:
    """EXIF's second directory, laid out by hand: one entry that points at a thumbnail."""
    thumbnail = b"\xff\xd8the face before\xff\xd9"
    first = b"\0\x01" + b"\x01\x10\0\x02\0\0\0\x02" + b"A\0\0\0" + (26).to_bytes(4, "big")
    second = b"\0\x02" + b"\x02\x01\0\x04\0\0\0\x01" + (56).to_bytes(4, "big")
    second += b"\x02\x02\0\x04\0\0\0\x01" + len(thumbnail).to_bytes(4, "big") + b"\0\0\0\0"
    block = b"Exif\0\0MM\0*\0\0\0\x08" + first + second + thumbnail
    Image.fromarray(hopper()).save(tmp_path / "a.jpg", exif=block)
    assert thumbnail in (tmp_path / "a.jpg").read_bytes()
    photo = open_photo(tmp_path / "a.jpg")
    save_photo(tmp_path / "b.jpg", photo, photo.pixels, PROVENANCE)
    written = (tmp_path / "b.jpg").read_bytes()
    assert b"the face before" not in written
    assert Image.open(tmp_path / "b.jpg").getexif()[MODEL] == "A"


def test_a_jpeg_is_coded_as_it_was(tmp_path: Path) -> None:
    """The decoded file is the photograph where nothing changed: by 48 dB and more, however coarse the file was."""
    for quality in (40, 75, 95):
        Image.fromarray(hopper()).save(tmp_path / "a.jpg", quality=quality)
        photo = open_photo(tmp_path / "a.jpg")
        save_photo(tmp_path / "b.jpg", photo, photo.pixels, PROVENANCE)
        error = np.square(open_photo(tmp_path / "b.jpg").pixels.astype(float) - photo.pixels).mean()
        assert 10 * np.log10(255**2 / error) > 48
        sizes = [(tmp_path / name).stat().st_size for name in ("a.jpg", "b.jpg")]
        assert abs(sizes[1] / sizes[0] - 1) < 0.05


def test_a_png_is_exact_and_keeps_its_texts_and_transparency(tmp_path: Path) -> None:
    source = Image.fromarray(hopper()).convert("RGBA")
    source.putalpha(Image.linear_gradient("L").resize(source.size))
    info = PngInfo()
    info.add_text("Author", "somebody")
    source.save(tmp_path / "a.png", pnginfo=info)
    photo = open_photo(tmp_path / "a.png")
    save_photo(tmp_path / "b.png", photo, photo.pixels, PROVENANCE)
    again = open_photo(tmp_path / "b.png")
    np.testing.assert_array_equal(again.pixels, hopper())
    np.testing.assert_array_equal(again.alpha, photo.alpha)
    assert again.texts["Author"] == "somebody"
    save_photo(tmp_path / "b.jpg", photo, photo.pixels, PROVENANCE)
    assert np.abs(open_photo(tmp_path / "b.jpg").pixels.astype(int) - photo.shown).mean() < 4


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_grey_stays_grey(suffix: str, tmp_path: Path) -> None:
    Image.fromarray(hopper()).convert("L").save(tmp_path / "a.png")
    photo = open_photo(tmp_path / "a.png")
    save_photo(tmp_path / f"b{suffix}", photo, photo.pixels, PROVENANCE)
    assert Image.open(tmp_path / f"b{suffix}").mode == "L"
    if suffix == ".png":
        np.testing.assert_array_equal(open_photo(tmp_path / "b.png").pixels, photo.pixels)


def test_the_comment_of_a_photograph_is_kept_in_the_provenance(tmp_path: Path) -> None:
    photo = open_photo(HOPPER)
    save_photo(tmp_path / "a.jpg", photo, photo.pixels, PROVENANCE)
    found = read_provenance(tmp_path / "a.jpg")
    assert found["description"] == photo.texts["comment"] != ""


def test_xmp_is_kept(tmp_path: Path) -> None:
    packet = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>rating</x:xmpmeta>"
    Image.fromarray(hopper()).save(tmp_path / "a.jpg", xmp=packet)
    photo = open_photo(tmp_path / "a.jpg")
    for suffix in SUFFIXES:
        save_photo(tmp_path / f"b{suffix}", photo, photo.pixels, PROVENANCE)
        assert packet in (tmp_path / f"b{suffix}").read_bytes()
        assert open_photo(tmp_path / f"b{suffix}").xmp == packet


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    photo = open_photo(HOPPER)
    for suffix in SUFFIXES:
        for name in "ab":
            save_photo(tmp_path / f"{name}{suffix}", photo, photo.pixels, PROVENANCE)
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_other_kinds_and_sizes_are_refused(tmp_path: Path) -> None:
    photo = open_photo(HOPPER)
    with pytest.raises(UserError, match=r"\.png"):
        save_photo(tmp_path / "a.gif", photo, photo.pixels, PROVENANCE)
    with pytest.raises(ValueError, match=r"\(600, 512, 3\)"):
        save_photo(tmp_path / "a.png", photo, photo.pixels[1:], PROVENANCE)
    Image.new("RGB", (17_000, 2)).save(tmp_path / "wide.png")
    wide = open_photo(tmp_path / "wide.png")
    with pytest.raises(UserError, match="16383 pixels"):
        save_photo(tmp_path / "wide.webp", wide, wide.pixels, PROVENANCE)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["wide.png"]
