"""From what a generator makes of a face to the photograph with that face edited, without a generator."""

import shutil
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from PIL import Image

from ifgan_pl.core.distributed import ALONE
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import file_digest
from ifgan_pl.editing.outputs import EditOutputs
from ifgan_pl.editing.plan import Column, EditPlan, sweep
from ifgan_pl.images.write import Pixels, read_provenance
from ifgan_pl.photos import Inversion
from ifgan_pl.photos.editing import FaceRetouch, as_image, levels, whole_name, write_photographs
from ifgan_pl.photos.identity import SFace
from ifgan_pl.photos.inversions import Inversions
from ifgan_pl.photos.survey import FoundFace
from tests.photos.photographs import HOPPER, HOPPER_POINTS, hopper

SIZE = 64
PLAN = EditPlan([Column("original", {}), Column("edited", {"smile": 2.0})], "t", provenance={"generator": "g"})


@pytest.fixture
def face(tmp_path: Path) -> FoundFace:
    path = tmp_path / "me.jpg"
    shutil.copy(HOPPER, path)
    points = tuple((float(x), float(y)) for x, y in HOPPER_POINTS)
    return FoundFace(path, file_digest(path), "party/me", ".jpg", 0, points)


def brighter(image: Pixels) -> Pixels:
    edited = image.astype(float)
    edited[SIZE // 2 :, SIZE // 4 : -SIZE // 4] += 40
    return edited.clip(0, 255).astype(np.uint8)


def test_images_and_levels_are_one_thing() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    np.testing.assert_allclose(levels(as_image(pixels)), pixels, atol=1e-4)


def test_the_photograph_is_shown_for_the_original_and_under_the_edit(face: FoundFace) -> None:
    class Store:
        def load(self, _: FoundFace) -> Inversion:
            return Inversion(torch.zeros(1), face.quad, {"psnr": 20.0}, {})

    network = SFace().eval()
    columns = [Column("original", {}), Column("0", {"smile": 0.0}), Column("+2", {"smile": 2.0})]
    plan = EditPlan(columns, "t")
    retouch = FaceRetouch([face], cast("Inversions", Store()), plan, network)
    photo = face.face.aligned(SIZE)
    made = as_image(np.full((SIZE, SIZE, 3), 90, np.uint8))
    images, notes = retouch(0, [made, made, as_image(brighter(np.full((SIZE, SIZE, 3), 90, np.uint8)))])
    for unchanged in images[:2]:
        np.testing.assert_allclose(levels(unchanged), photo, atol=1e-3)
    change = levels(images[2]) - photo
    assert abs(change[: SIZE // 4]).max() < 1
    assert change[SIZE * 5 // 8 : SIZE * 3 // 4, SIZE // 3 : -SIZE // 3].mean() > 15
    assert [note["photograph"] for note in notes] == ["", "party/me_smile+0.jpg", "party/me_smile+2.jpg"]
    assert [note["identity"] for note in notes[:2]] == ["1.0000"] * 2
    assert notes[0]["inversion_psnr"] == "20.0000"


def test_a_single_edit_keeps_the_name_and_a_sweep_tells_its_steps_apart(face: FoundFace) -> None:
    assert whole_name(face, PLAN.columns[1], PLAN) == "party/me.jpg"
    plan = EditPlan(sweep("age", -1, 1, 3), "t")
    assert [whole_name(face, plan.columns[i], plan) for i in (0, 2)] == ["party/me_age-1.jpg", "party/me_age+1.jpg"]


def test_a_photograph_is_written_once_all_its_faces_are_done(face: FoundFace, tmp_path: Path) -> None:
    outputs = EditOutputs(tmp_path / "out", PLAN, [face.subject], formats=["strip"], keep=True)
    outputs.begin()
    with pytest.raises(UserError, match="1 of 1 faces are not done"):
        write_photographs(outputs, [face], ALONE)
    photo = face.face.aligned(SIZE)
    outputs.write_face(0, [photo, brighter(photo)], None)
    (path,) = write_photographs(outputs, [face], ALONE)
    assert path == tmp_path / "out/party/me.jpg"
    about = read_provenance(path)
    assert (about["generator"], about["edit"], about["index"]) == ("g", {"smile": 2.0}, [face.subject.index])
    with Image.open(path) as image:
        change = np.asarray(image.convert("RGB")).astype(float) - hopper()
    x, y = HOPPER_POINTS[2].astype(int)
    assert change[y - 5 : y + 5, x - 5 : x + 5].mean() > 25
    assert abs(change[:20]).mean() < 0.5  # a JPEG's blocks hang together
    written = path.stat().st_mtime_ns
    write_photographs(outputs, [face], ALONE)
    assert path.stat().st_mtime_ns == written
