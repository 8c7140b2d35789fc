"""Counterfactual rows: images of edited faces, labels of what the edit leaves."""

from pathlib import Path

import numpy as np
import torch

from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.core.resources import resource
from ifgan_pl.data.faces import FacesData
from ifgan_pl.editing.editor import Editor
from ifgan_pl.generators import load_generator
from ifgan_pl.images.read import to_float
from ifgan_pl.scorer.edited_faces import STRENGTHS, EditedFacesData

ROWS = 12


def some_labels(folder: Path) -> Path:
    """The first faces of the shipped labels."""
    lines = resource("checkpoints/faces-more.csv").read_text().splitlines()[: ROWS + 1]
    (folder / "few.csv").write_text("\n".join(lines) + "\n")
    return folder / "few.csv"


def test_rows_are_edited_in_turn_and_lose_the_label_of_what_is_edited(tmp_path: Path) -> None:
    labels = some_labels(tmp_path)
    plain = FacesData(labels, None, resolution=128, cache_dir=tmp_path)
    edited = EditedFacesData(labels, cache_dir=tmp_path)
    targets = edited.labels.targets
    assert targets.isnan().nonzero()[:, 1].tolist() == [k % 5 for k in range(ROWS)]
    known = ~targets.isnan()
    assert torch.equal(targets[known], plain.labels.targets[known])

    editor = Editor(
        load_generator("ffhq-mobile"), LinearBoundary.load(resource("checkpoints/ffhq-mobile-w.safetensors"))
    )
    names = list(edited.attributes)
    made = to_float(torch.from_numpy(np.array(edited._images[0])))
    for row in (2, 9):
        rows = slice(row, row + 1)
        w = plain.codes(editor.generator, plain.z(512)[rows], rows)
        change = {names[row % 5]: STRENGTHS[row // 5 % 4]}
        with torch.no_grad():
            image = editor.images(editor.shifted(w, change, hold=[n for n in names if n not in change]), resolution=128)
        assert (made[row] - image[0]).abs().mean() < 0.01
    assert len(list(tmp_path.glob("faces-128-*.npy"))) == 2
