from pathlib import Path

import pytest
import torch

from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.core.distributed import Ranks
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import save_tensors
from ifgan_pl.scores.score_file import FORMAT, ScoreFile, export_added, export_scores, open_scores
from ifgan_pl.scores.store import ScoreStore
from ifgan_pl.stages.boundary import boundary
from ifgan_pl.stages.score import score


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
    shares = [alone.load(Ranks(rank, 3)) for rank in range(3)]
    assert torch.equal(torch.cat([codes for codes, _ in shares]), whole.load()[0])
    more = torch.randn(40)
    export_added(alone, tmp_path / "more.safetensors", {"beard": more}, ["binary"])
    added = open_scores(tmp_path / "more.safetensors")
    assert (added.inputs["attributes"], added.inputs["generator"]) == (["beard"], whole.inputs["generator"])
    assert torch.equal(added.load()[0], whole.load()[0])
    assert torch.allclose(added.load()[1][:, 0], more, atol=2e-3)
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
