"""Image files as the scorer sees them: upright, square, RGB, of one size."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ifgan_pl.core.errors import UserError
from ifgan_pl.images.read import decode, find_images, to_float, to_square, warn_of_broken

RED, BLUE = (250, 0, 0), (0, 0, 250)


def halves(size: tuple[int, int] = (32, 32)) -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", size, RED)
    image.paste(BLUE, (size[0] // 2, 0, *size))
    return image


def test_a_camera_s_turn_is_undone(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the scene is on the right
    halves().save(tmp_path / "a.png", exif=exif)
    pixels = decode(tmp_path / "a.png", 8)
    assert pixels[:, 1, 4].tolist() == list(RED)
    assert pixels[:, 6, 4].tolist() == list(BLUE)


@pytest.mark.parametrize("size", [(96, 32), (32, 96)])
@pytest.mark.parametrize("side", [8, 32, 64])
def test_the_centre_square_is_kept_at_any_size(tmp_path: Path, size: tuple[int, int], side: int) -> None:
    Image.new("RGB", size, BLUE).save(tmp_path / "edges.png")
    image = Image.open(tmp_path / "edges.png")
    image.paste(RED, ((size[0] - 32) // 2, (size[1] - 32) // 2, (size[0] + 32) // 2, (size[1] + 32) // 2))
    image.save(tmp_path / "a.png")
    pixels = decode(tmp_path / "a.png", side)
    assert pixels.shape == (3, side, side)
    assert pixels.dtype == np.uint8
    rim = side // 16  # where enlarging reaches across it
    assert (pixels[:, rim : side - rim, rim : side - rim] == np.array(RED)[:, None, None]).all()


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "I;16"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    name = "a.tif" if mode in ("CMYK", "I;16") else "a.png"
    white = Image.new("RGB", (16, 16), "white")
    (white.convert("L").convert("I;16") if mode == "I;16" else white.convert(mode)).save(tmp_path / name)
    assert decode(tmp_path / name, 8).shape == (3, 8, 8)


@pytest.mark.parametrize("content", [None, b"", b"no image", "torn"])
def test_what_is_no_whole_image_is_an_os_error(tmp_path: Path, content: bytes | str | None) -> None:
    path = tmp_path / "a.jpg"
    if content == "torn":
        halves((200, 200)).save(path)
        path.write_bytes(path.read_bytes()[:600])
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(OSError, match=r"(?i)a\.jpg|truncated"):
        decode(path, 8)


def test_tensors_are_averaged_down_and_enlarged_smoothly() -> None:
    images = torch.rand(2, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    square = images[:, :, :, 2:10]
    assert torch.equal(to_square(images, 8), square)
    torch.testing.assert_close(to_square(images, 4), square.unflatten(3, (4, 2)).unflatten(2, (4, 2)).mean((3, 5)))
    for side in (3, 5, 16):
        resized = to_square(images, side)
        assert resized.shape == (2, 3, side, side)
        assert images.min() <= resized.min() <= resized.max() <= images.max()


def test_bytes_become_floats_and_floats_stay() -> None:
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8)
    torch.testing.assert_close(to_float(pixels), torch.tensor([-1.0, -0.6, 1.0]))
    floats = torch.tensor([-1.5, 0.25])
    assert to_float(floats) is floats


def test_images_of_a_folder_are_found_in_order(tmp_path: Path) -> None:
    for name in ("b/2.JPG", "b/1.png", "a.webp", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [str(path.relative_to(tmp_path)) for path in find_images(tmp_path)] == ["a.webp", "b/1.png", "b/2.JPG"]
    with pytest.raises(UserError, match=r"no such folder: .*nowhere"):
        find_images(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no images in .*empty \(.*\.jpg.*\.png"):
        find_images(tmp_path / "empty")


def test_a_warning_counts_all_and_names_five(caplog: pytest.LogCaptureFixture) -> None:
    warn_of_broken([f"{i}.png" for i in range(7)])
    warn_of_broken([])
    assert caplog.messages == ["left out 7 broken images: 0.png, 1.png, 2.png, 3.png, 4.png, ..."]
