import importlib.util
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from ifgan_pl.core.errors import UserError
from ifgan_pl.images.write import ANIMATIONS, STILLS, Pixels, check_video, read_provenance, save_animation, save_image

PROVENANCE = {"generator": "ñ <&>", "index": 3, "edit": [{"smile": -1.0}, {}]}
GREYS = (30, 130, 230)


def frames(side: int = 32) -> list[Pixels]:
    return [np.full((side, side, 3), grey, dtype=np.uint8) for grey in GREYS]


def greys(path: Path) -> list[int]:
    """The colour of each frame, as a player shows it."""
    if path.suffix == ".mp4":
        with av.open(str(path)) as container:
            return [int(f.to_ndarray(format="rgb24").mean()) for f in container.decode(video=0)]
    with Image.open(path) as image:
        shown = []
        for i in range(getattr(image, "n_frames", 1)):
            image.seek(i)
            shown.append(int(np.asarray(image.convert("RGB")).mean()))
        return shown


@pytest.mark.parametrize("suffix", STILLS)
def test_a_image_says_where_it_comes_from(tmp_path: Path, suffix: str) -> None:
    save_image(tmp_path / f"a.{suffix}", frames()[1], PROVENANCE)
    assert read_provenance(tmp_path / f"a.{suffix}") == PROVENANCE
    assert greys(tmp_path / f"a.{suffix}") == [GREYS[1]]


@pytest.mark.parametrize("shape", [(1, 1, 3), (7, 5, 3), (64, 48, 3)])
def test_a_png_keeps_every_pixel(tmp_path: Path, shape: tuple[int, ...]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for pixels in (noise, np.zeros_like(noise), np.full_like(noise, 255)):
        save_image(tmp_path / "a.png", pixels, PROVENANCE)
        with Image.open(tmp_path / "a.png") as image:
            image.load()
            assert np.array_equal(np.asarray(image), pixels)
        with Image.open(tmp_path / "a.png") as image:
            image.verify()


@pytest.mark.parametrize("suffix", ANIMATIONS)
def test_an_animation_runs_there_and_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    provenance = PROVENANCE | {"long": "x" * 2000}  # more than one block of a GIF's comment
    save_animation(path, frames(), provenance)
    assert read_provenance(path) == provenance
    expected = [30, 130, 230, 130] + ([30] if suffix == "mp4" else [])  # the others begin again by themselves
    assert np.allclose(greys(path), expected, atol=4)
    save_animation(path, frames()[:1], {})
    assert np.allclose(greys(path), GREYS[0], atol=4)


def test_images_from_elsewhere_have_no_provenance(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "A holiday"
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", exif=exif)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.gif", comment=b"[1]")
    (tmp_path / "a.html").write_text("<p>")
    assert [read_provenance(p) for p in sorted(tmp_path.iterdir())] == [{}, {}, {}]


def test_mp4_without_pyav_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"ifgan_pl\[video\]"):
        check_video()
