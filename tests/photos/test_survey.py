"""Faces in folders of photographs, and what their results are called."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ifgan_pl.core.distributed import Ranks
from ifgan_pl.core.errors import UserError
from ifgan_pl.photos import open_photo
from ifgan_pl.photos.survey import opened, parse_points, points_text, result_names, survey, written_suffix
from tests.photos.photographs import HOPPER, HOPPER_POINTS, hopper, party

POINTS = [f"{x},{y}" for x, y in HOPPER_POINTS]


def test_faces_are_found_and_others_left_out(tmp_path: Path) -> None:
    folder = party(tmp_path / "party")
    found = survey([folder])
    assert [(f.name, f.suffix, f.number) for f in found.faces] == [
        ("group", ".png", 0),
        ("group", ".png", 1),
        ("me", ".jpg", 0),
    ]
    reasons = {path.name: reason for path, reason in found.skipped.items()}
    assert reasons.keys() == {"broken.jpg", "wall.png"}
    assert "cut short" in reasons["broken.jpg"]
    assert "--points" in reasons["wall.png"]
    face = found.faces[2]
    np.testing.assert_array_equal(face.face.quad, open_photo(HOPPER).faces[0].quad)
    np.testing.assert_array_equal(face.quad, face.face.quad)
    assert face.subject.index == {"photo": "me.jpg", "face": 0, "digest": face.digest}
    assert (face.subject.name, face.subject.label) == ("faces/me-0", "me 0")
    assert replace(face, name="a photo of/mine").subject.name == "faces/a-photo-of/mine-0"
    assert replace(face, name="a rather long folder/mine").subject.label == "…ong folder/mine 0"


def test_animations_in_a_folder_are_taken_and_what_pillow_cannot_read_is_named(tmp_path: Path) -> None:
    frames = [Image.fromarray(hopper()), Image.fromarray(255 - hopper())]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    (tmp_path / "phone.HEIC").write_bytes(b"no codec of this is here")
    found = survey([tmp_path])
    assert [(face.name, face.suffix) for face in found.faces] == [("moving", ".png")]
    assert "save it as JPEG" in found.skipped[tmp_path / "phone.HEIC"]


def test_ranks_search_a_share_each(tmp_path: Path) -> None:
    folder = party(tmp_path / "party")
    whole = survey([folder])
    seen: dict[int, Any] = {}

    class Both(Ranks):
        """Rank 1 of 2, which is told what rank 0 found."""

        def gather(self, item: object) -> list[object]:  # type: ignore[override]
            seen[self.rank] = item
            return [*seen.values()]

    with pytest.raises(KeyError):  # rank 0 alone has not seen them all
        survey([folder], ranks=Both(0, 2))
    assert survey([folder], ranks=Both(1, 2)) == whole
    assert {rank: len(item) for rank, item in seen.items()} == {0: 2, 1: 2}


def test_one_face_of_each_photograph(tmp_path: Path) -> None:
    folder = party(tmp_path / "party")
    found = survey([folder], face=1)
    assert [(f.name, f.number) for f in found.faces] == [("group", 1)]
    assert "me.jpg has 1 faces" in found.skipped[folder / "me.jpg"]


def test_points_show_one_face_in_one_photograph(tmp_path: Path) -> None:
    folder = party(tmp_path / "party")
    (face,) = survey([folder / "me.jpg"], points=POINTS).faces
    np.testing.assert_array_equal(face.points, HOPPER_POINTS)
    assert parse_points(points_text(face.points).split()) == face.points
    with pytest.raises(UserError, match="here are 4"):
        survey([folder], points=POINTS)
    for wrong in (["1,2", "3,4"], ["1,2", "3,4", "x,5"], ["1", "2", "3"]):
        with pytest.raises(UserError, match="x,y x,y x,y"):
            survey([folder / "me.jpg"], points=wrong)


def test_where_nothing_is_left_the_first_reason_is_told(tmp_path: Path) -> None:
    folder = party(tmp_path / "party")
    with pytest.raises(UserError, match=r"^no face found in .*wall\.png"):
        survey([folder / "wall.png"])
    with pytest.raises(UserError, match=r"nothing to do: .*cut short.*and 1 other"):
        survey([folder / "broken.jpg", folder / "wall.png"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no images in"):
        survey([tmp_path / "empty"])
    with pytest.raises(UserError, match="no such file or folder"):
        survey([tmp_path / "nowhere"])
    with pytest.raises(UserError, match="no photographs in"):
        survey([folder], leave_out=[folder])


def test_no_two_results_have_one_name() -> None:
    def names(*paths: str) -> list[str]:
        return result_names([Path(path) for path in paths])

    assert names("party/me.jpg") == ["me"]
    assert names("party/a/me.jpg", "party/b/me.jpg") == ["a/me", "b/me"]
    assert names("me.jpg", "party/me.jpg") == ["me", "party/me"]
    assert names("me.jpg", "ME.png", "you.jpg") == ["me-jpg", "ME-png", "you"]
    assert names("me.jpg", "me.png", "me-png.jpg") == ["me-jpg", "me-png", "me-png_"]
    assert names("strip.png", "grid_a.jpg", "index.jpg", ".me.jpg") == ["_strip", "_grid_a", "_index", "me"]
    assert names("faces/a.jpg", "stripes.jpg") == ["_faces/a", "stripes"]


def test_a_photograph_keeps_its_suffix_where_that_is_true(tmp_path: Path) -> None:
    for name, kind, suffix in (("a.JPEG", "JPEG", ".JPEG"), ("b.jpg", "PNG", ".png"), ("c.tif", "TIFF", ".png")):
        Image.fromarray(hopper()).save(tmp_path / name, kind)
        assert written_suffix(open_photo(tmp_path / name)) == suffix
    Image.new("RGB", (17_000, 2)).save(tmp_path / "wide.bmp")
    Image.new("RGB", (2, 2)).save(tmp_path / "small.webp")
    assert written_suffix(open_photo(tmp_path / "small.webp")) == ".webp"
    assert written_suffix(open_photo(tmp_path / "wide.bmp")) == ".png"


def test_a_photograph_that_changes_meanwhile_is_noticed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "moving.gif"
    Image.fromarray(hopper()).save(path, save_all=True, append_images=[Image.new("RGB", (512, 600))])
    with caplog.at_level(logging.WARNING):
        (face,) = survey([path]).faces
        assert caplog.text.count("2 frames") == 1
        assert face.face.photo.pixels is face.face.photo.pixels
        assert caplog.text.count("2 frames") == 1
    path.write_bytes(HOPPER.read_bytes())
    opened.cache_clear()
    with pytest.raises(UserError, match="has changed since"):
        _ = face.face
