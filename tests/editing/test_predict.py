"""Edits through a Trainer: what the module returns is what its writer writes, beside the synthesis of the next."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.core.errors import UserError
from ifgan_pl.editing.editor import Editor
from ifgan_pl.editing.outputs import EditOutputs
from ifgan_pl.editing.plan import Column, EditPlan
from ifgan_pl.editing.predict import EditedFaces, EditFaces
from ifgan_pl.generators import Generator, load_generator
from ifgan_pl.images.write import Pixels, to_uint8

PLAN = EditPlan([Column("original", {}), Column("edited", {"a": 1.0})], "t", unit="latent", truncation=1.0)


@pytest.fixture(scope="module")
def editor() -> Editor:
    normals = torch.nn.functional.normalize(torch.randn(2, 100, generator=torch.Generator().manual_seed(0)))
    return Editor(load_generator("digiface-dcgan"), LinearBoundary(normals, attributes=["a", "b"], space="z"))


def trainer() -> pl.Trainer:
    off: dict[str, Any] = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    return pl.Trainer(accelerator="cpu", **off)


class Watched(EditOutputs):
    """Notes what is written, on which thread, and fails at one face."""

    def __init__(self, folder: Path, numbers: range, *, fails: int = -1) -> None:
        super().__init__(folder, PLAN, numbers)
        self.written: dict[int, list[Pixels]] = {}
        self.notes: dict[int, object] = {}
        self.threads: set[int] = set()
        self.fails = fails

    def write_face(  # type: ignore[override]
        self, position: int, face: list[Pixels], scores: object, notes: object
    ) -> None:
        if position == self.fails:
            raise UserError("no room")
        self.written[position] = face
        self.notes[position] = notes
        self.threads.add(threading.get_ident())


def test_what_a_step_returns_is_written_by_other_threads(editor: Editor, tmp_path: Path) -> None:
    codes = editor.codes(range(7), truncation=1)
    outputs = Watched(tmp_path / "out", range(7))
    trainer().predict(EditFaces(editor, codes, outputs, batch_size=3), return_predictions=False)
    expected = [
        to_uint8(editor.images(c, truncation=1)) for c in (codes, editor.shifted(codes, {"a": 1.0}, unit="latent"))
    ]
    assert sorted(outputs.written) == [*range(7)]
    for position, face in outputs.written.items():
        assert all((image == column[position]).all() for image, column in zip(face, expected, strict=True))
    assert threading.get_ident() not in outputs.threads


def test_predictions_are_faces_for_who_asks_for_them(editor: Editor, tmp_path: Path) -> None:
    def brightness(images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(2, 3))

    codes = editor.codes(range(3), truncation=1)
    faces = EditFaces(editor, codes, Watched(tmp_path / "out", range(3)), scorer=brightness, batch_size=2)
    predictions: Any = trainer().predict(faces)
    assert all(isinstance(batch, EditedFaces) for batch in predictions)
    assert [batch.samples for batch in predictions] == [2, 1]
    assert predictions[1].positions == [2]
    scores = torch.tensor(predictions[1].scores)
    assert scores.shape == (1, 2, 3)  # faces, columns, attributes
    pixels = torch.tensor(predictions[1].images[0][1]).float().mean(dim=(0, 1)) / 127.5 - 1
    torch.testing.assert_close(scores[0, 1], pixels, atol=1e-2, rtol=0)


def test_a_face_that_cannot_be_written_fails_the_run(editor: Editor, tmp_path: Path) -> None:
    outputs = Watched(tmp_path / "out", range(40), fails=1)
    before = set(threading.enumerate())
    with pytest.raises(UserError, match="no room"):
        trainer().predict(EditFaces(editor, editor.codes(range(40), truncation=1), outputs, batch_size=1))
    assert len(outputs.written) < 39  # it stops early
    left = set(threading.enumerate()) - before
    assert not [thread for thread in left if "ThreadPoolExecutor" in thread.name]


class Negatives:
    """A retouch: images turned to their negatives, and which face that was."""

    def generator(self, position: int, generator: Generator) -> Generator:
        return generator

    def __call__(
        self, position: int, columns: Sequence[torch.Tensor]
    ) -> tuple[list[torch.Tensor], list[Mapping[str, Any]]]:
        return [-column for column in columns], [{"face": position}] * len(columns)


def test_faces_are_retouched_before_they_are_scored_and_written(editor: Editor, tmp_path: Path) -> None:
    def brightness(images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(2, 3))

    codes = editor.codes(range(3), truncation=1)
    outputs = Watched(tmp_path / "out", range(3))
    faces = EditFaces(editor, codes, outputs, scorer=brightness, retouch=Negatives())
    predictions: Any = trainer().predict(faces)
    assert [batch.samples for batch in predictions] == [1, 1, 1]
    original = editor.images(codes, truncation=1)
    for position in range(3):
        assert (outputs.written[position][0] == to_uint8(-original)[position]).all()
        assert outputs.notes[position] == [{"face": position}] * 2
    scores = torch.tensor(predictions[1].scores)[0, 0]
    torch.testing.assert_close(scores, -original[1].mean((1, 2)))
