"""Edits of the length that a face needs, with scorers that are made for it."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ifgan_pl import cli
from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.editing.aim import BEYOND, SHARES, Aim, ScoreColumn
from ifgan_pl.editing.editor import Editor
from ifgan_pl.generators import load_generator
from ifgan_pl.stages.edit import say_what_is_not_seen, shipped_aim
from tests.commands import failure
from tests.processes import CPU


@pytest.fixture(scope="module")
def editor() -> Editor:
    normals = torch.nn.functional.normalize(torch.randn(2, 512, generator=torch.Generator().manual_seed(0)))
    boundary = LinearBoundary(normals, attributes=["smile", "age"], space="w", metric="identity")
    return Editor(load_generator("ffhq-mobile"), boundary)


def aim(monkeypatch: pytest.MonkeyPatch, whole: Tensor, codes: Tensor, *seen: list[float], binary: bool = False) -> Aim:
    """An aim whose scorer sees these scores of each face, unedited and at each share; codes stand for images."""

    def score(rows: Tensor) -> Tensor:
        faces = [int((code - codes).norm(dim=1).argmin()) for code in rows]
        parts = [float((c - codes[i]).norm() / (whole[i] - codes[i]).norm()) for c, i in zip(rows, faces, strict=True)]
        places = [min(range(8), key=lambda k: abs((0, *SHARES, *BEYOND)[k] - part)) for part in parts]
        return torch.tensor([[float(seen[i][k])] for i, k in zip(faces, places, strict=True)])

    monkeypatch.setattr(Editor, "images", lambda _, rows, **__: rows)
    return Aim(score, {"smile": ScoreColumn(0, 2.0, binary)})


@pytest.mark.parametrize(
    ("seen", "share"),
    [
        ([0, 0.5, 0.625, 0.75, 0.875, 1], 1),  # what a linear world shows
        ([0, 1, 1.25, 1.5, 1.75, 2], 0.5),  # twice as much
        ([0, 0.7, 0.9, 1.1, 1.2, 1.3], 0.75),
        ([0, 0, 0, 0, 0, 0.9], 1),  # a frame that appears late
        ([0, 0.9, 0.9, 0.9, 0.9, 0.9], 0.5),  # a smile that cannot be broader
        ([0, -1, -1, -1, -1, -1, -1, -1], 0.5),
        ([0, 0, 0, 0, 0, 0, 1.2, 1.3], 0.5),  # years are not there or not
    ],
)
def test_an_edit_goes_no_further_than_it_is_seen_to_do_what_was_asked(
    editor: Editor, seen: list[float], share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shares of what was asked: +3 standard deviations of 2."""
    codes = editor.codes([4])
    whole = editor.shifted(codes, {"smile": 3.0}, unit="latent")
    made = aim(monkeypatch, whole, codes, [6 * value + 1 for value in seen])
    edited, shares = made.edited(editor, codes, codes, {"smile": 3.0}, unit="latent")
    ((found, what_is_seen),) = shares
    assert found == share
    assert what_is_seen == pytest.approx(seen[1 + (*SHARES, *BEYOND).index(share)], abs=1e-6)
    torch.testing.assert_close(edited, editor.shifted(codes, {"smile": 3.0 * share}, unit="latent"))


@pytest.mark.parametrize(
    ("logits", "share"),
    [
        ([-3, 1, 2, 3.5, 4, 4], 0.75),  # half of a frame moves it by all that was asked, .63 of that is half there
        ([-3, 4, 4, 4, 4, 4], 0.5),
        ([-6, -6, -6, -6, -3, 1.5, 4, 4.5], 1.25),  # half there at all of it
        ([-6, -6, -6, -6, -6, -3, 2, 4], 1),  # half of what was asked, and not to be thought there
        ([-9, -9, -9, -8, -7, -6, -5, -4], 1),  # grows little by little
        ([-6, -6, -6, -6, -6, -6, 3, 3.5], 1.25),  # appears behind all of it
        ([-6, -6, -6, -6, -6, -5.5, -3, 3.5], 1.5),
        ([-6, -5.5, -5, -4, -3, -3, 4, 4], 0.875),  # more than a quarter shows already, and it is not half there
    ],
)
def test_what_is_there_or_not_is_not_left_half(
    editor: Editor, logits: list[float], share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = editor.codes([4])
    whole = editor.shifted(codes, {"smile": 2.0}, unit="latent")
    made = aim(monkeypatch, whole, codes, logits, binary=True)
    _, ((found, _),) = made.edited(editor, codes, codes, {"smile": 2.0}, unit="latent")
    assert found == share


def test_each_face_has_a_length_of_its_own_and_strengths_may_be_negative(
    editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = editor.codes([4, 5])
    slow = [0, -1, -1.25, -1.5, -1.75, -2]
    changes = {"smile": -1.0, "age": 0.5}
    made = aim(monkeypatch, editor.shifted(codes, changes, unit="latent"), codes, slow, [2 * v for v in slow])
    edited, shares = made.edited(editor, codes, codes, changes, unit="latent")
    assert [face.share for face in shares] == [1.0, 0.5]
    expected = [editor.shifted(codes, {"smile": -s, "age": s / 2}, unit="latent")[i] for i, (s, _) in enumerate(shares)]
    torch.testing.assert_close(edited, torch.stack(expected))


def test_an_edit_that_the_scorer_does_not_know_is_whole(editor: Editor) -> None:
    codes = editor.codes([4])
    made, views = Aim(lambda images: images, {"smile": ScoreColumn(0, 1.0, False)}), {"resolution": 128}
    edited, shares = made.edited(editor, codes, editor.images(codes, **views), {"age": 1.0}, unit="latent", **views)
    assert shares[0].share == 1
    assert math.isnan(shares[0].seen)
    assert shares[0].words() == {"share": "1", "seen": ""}
    assert torch.equal(edited, editor.images(editor.shifted(codes, {"age": 1.0}, unit="latent"), **views))


def test_the_shipped_scorer_shortens_glasses_that_are_on_long_before() -> None:
    """Eyeglasses +4: a frame is there at half of it, by far."""
    made, editor = shipped_aim(), Editor(load_generator("ffhq-mobile"), shipped())
    assert set(made.units) == set(shipped().attributes)
    assert {name for name, unit in made.units.items() if not unit.binary} == {"age", "yaw"}
    codes = editor.codes(range(2))
    for strength, expected in ((4.0, SHARES[0]), (1e-3, None)):
        changes, originals = {"eyeglasses": strength}, editor.images(codes, resolution=128)
        _, faces = made.edited(editor, codes, originals, changes, hold="all", resolution=128)
        assert {face.share for face in faces} <= {*SHARES, *BEYOND}
        assert expected is None or min(face.share for face in faces) == expected


def shipped() -> LinearBoundary:
    return LinearBoundary.load("checkpoints/ffhq-mobile-w.safetensors")


def test_edit_py_aims_generated_faces_when_asked_and_says_how_far_it_went(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--edit", "eyeglasses=+3", "--seeds", "0-1", "--resolution", "128", "--format", "png", *CPU]
    cli.edit([*arguments, "--mode", "aim", "--out", str(tmp_path / "aim")])
    header, first, second, *_ = (tmp_path / "aim/edits.csv").read_text().splitlines()
    assert header == "index,column,edit,file,seen,share"
    assert first.endswith("000000_original.png,,")
    assert float(second.split(",")[-1]) in (*SHARES, *BEYOND)
    assert float(second.split(",")[-2]) > 0.5
    assert "standard deviations" in failure(cli.edit, capsys, *arguments, "--mode", "aim", "--unit", "latent")


def test_edits_that_do_not_show_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "edits.csv").write_text("index,seen\n0,\n0,.3\n1,\n1,1.2\n2,-.1\n3,nan\n")
    say_what_is_not_seen(tmp_path)
    assert "of 2 of 4 edits less than half shows" in capsys.readouterr().out
