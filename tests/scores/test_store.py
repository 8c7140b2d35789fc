from pathlib import Path
from typing import Any

import pytest
import torch

from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import save_tensors
from ifgan_pl.scores.score_file import FORMAT, ScoreFile, export_scores, open_scores
from ifgan_pl.scores.store import ScoreStore
from ifgan_pl.stages.boundary import boundary
from ifgan_pl.stages.score import score

INPUTS = {"seed": 0, "generator": "abc"}
NUMERICS = {"device": "this"}


def store(root: Path, **changes: object) -> ScoreStore:
    options: dict[str, Any] = {"num": 10, "inputs": INPUTS, "numerics": NUMERICS, "block_size": 4}
    return ScoreStore(root, **(options | changes))


def fill(s: ScoreStore) -> None:
    for block in s.missing()[0]:
        rows = torch.arange(block.start, block.stop, dtype=torch.float32)[:, None]
        s.write(block, rows.expand(-1, 3), rows)


def test_it_is_complete_when_every_block_is_there(tmp_path: Path) -> None:
    s = store(tmp_path / "s")
    s.begin()
    with pytest.raises(UserError, match="3 of 3 blocks are missing"):
        s.load()
    fill(s)
    latents, scores = ScoreStore.open(tmp_path / "s").load()
    assert scores[:, 0].tolist() == list(range(10))
    assert latents.shape == (10, 3)


@pytest.mark.parametrize("damage", ["altered", "torn"])
def test_a_damaged_block_is_named_and_redone(tmp_path: Path, damage: str) -> None:
    s = store(tmp_path / "s")
    s.begin()
    fill(s)
    path = s.path(s.blocks()[1])
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data if damage == "altered" else data[:-5]))
    todo, notes = s.missing()
    assert todo == [range(4, 8)]
    assert path.name in notes[0]


def test_other_inputs_are_refused_and_named(tmp_path: Path) -> None:
    store(tmp_path / "s").begin()
    with pytest.raises(UserError, match="seed 0 -> 1"):
        store(tmp_path / "s", inputs={**INPUTS, "seed": 1}).begin()
    with pytest.raises(UserError, match="device this -> that"):
        store(tmp_path / "s", numerics={"device": "that"}).begin()
    assert store(tmp_path / "s", numerics={"device": "that"}).begin(allow_numerics_change=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(UserError, match="not empty"):
        store(tmp_path / "other").begin()


def test_it_grows(tmp_path: Path) -> None:
    s = store(tmp_path / "s")
    s.begin()
    fill(s)
    grown = store(tmp_path / "s", num=13)
    grown.begin()
    assert grown.missing()[0] == [range(8, 12), range(12, 13)]


def test_scores_alone_give_the_boundary_of_their_store(tmp_path: Path) -> None:
    """Codes are drawn again from seed and index."""
    trainer = {"accelerator": "cpu", "enable_progress_bar": False}
    folder = score(generator="digiface-dcgan", truncation=1.0, num=40, out=str(tmp_path / "s"), trainer=trainer)
    file = tmp_path / "alone.safetensors"
    export_scores(ScoreStore.open(folder), file)
    assert file.stat().st_size < 5000
    alone, whole = open_scores(file), open_scores(folder)
    assert (alone.num, alone.inputs, alone.numerics) == (40, whole.inputs, whole.numerics)
    assert all(torch.equal(a, b) for a, b in zip(alone.load(), whole.load(), strict=True))
    names = ["male", "age"]
    fits = [
        LinearBoundary.load(boundary(scores=str(source), attributes=names, out=str(tmp_path / f"{k}.safetensors")))
        for k, source in enumerate((file, folder))
    ]
    assert torch.equal(fits[0].normals, fits[1].normals)


def test_scores_of_another_generator_are_refused(tmp_path: Path) -> None:
    inputs = {"generator_name": "digiface-dcgan", "generator": "another"}
    file = tmp_path / "alone.safetensors"
    save_tensors(file, {"scores": torch.zeros(3, 1)}, {"format": FORMAT, "inputs": inputs, "numerics": {}})
    with pytest.raises(UserError, match="another digiface-dcgan"):
        ScoreFile(file).load()
    save_tensors(file, {"scores": torch.zeros(3, 1)}, {})
    with pytest.raises(UserError, match="is not a file of scores"):
        open_scores(file)
