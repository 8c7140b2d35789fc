from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from torch.nn.functional import cosine_similarity

from ifgan_pl.boundaries import solvers
from ifgan_pl.boundaries.fit import fit_boundary
from ifgan_pl.boundaries.solvers.sgd import SGD, HeldOut, Hyperplanes, MixedBlocks
from tests.boundaries.solvers.problems import problem

QUIET: dict[str, Any] = {"accelerator": "cpu", "enable_progress_bar": False}


@pytest.mark.parametrize("loss", ["squared", "logistic", "squared_hinge", "hinge"])
def test_gradient_descent_finds_what_the_exact_solver_finds(loss: str) -> None:
    codes, scores = problem(count=3000)
    scores[:500, 1] = torch.nan
    targets = {"squared": scores, "logistic": scores.sigmoid()}.get(loss, scores.sign())
    exact = solvers.SOLVERS["ridge" if loss == "squared" else loss](codes, targets, l2=0.01)
    found = SGD(loss, batch_size=250, trainer=QUIET)(codes, targets, l2=0.01)
    assert cosine_similarity(found.weights, exact.weights).min() > 0.99
    torch.testing.assert_close(found.weights, exact.weights, atol=0.15 * float(exact.weights.abs().max()), rtol=0)


def test_it_serves_fit_boundary_and_logs(tmp_path: Path) -> None:
    codes, scores = problem(count=3000)
    options: dict[str, Any] = {"attributes": ["a", "b", "c"], "kinds": ["binary"] * 3, "space": "w"}
    exact = fit_boundary(codes, scores, solver="logistic", **options)
    found = fit_boundary(codes, scores, solver=SGD(batch_size=250, trainer=QUIET, folder=tmp_path / "sgd"), **options)
    assert (exact.normals * found.normals).sum(1).min() > 0.99
    assert found.provenance["fit"]["solver"] == "sgd (logistic)"
    lines = (tmp_path / "sgd" / "logs" / "version_0" / "metrics.csv").read_text().splitlines()
    assert {"train/loss", "val/accuracy", "val/accuracy/b"} <= set(lines[0].split(","))
    held_out = [float(line.split(",")[lines[0].split(",").index("val/accuracy/b")] or "nan") for line in lines[1:]]
    expected = exact.metrics["attributes"]["b"]["accuracy_validation"]
    assert float(np.nanmean(held_out[-4:])) == pytest.approx(expected, abs=0.02)


class StopAfter(Callback):
    """Raises in the middle of an epoch, as a kill ends a run."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.current_epoch == self.epoch and batch_idx == 2:
            raise RuntimeError("killed")


def test_an_interrupted_run_continues_to_the_same_planes(tmp_path: Path) -> None:
    codes, scores = problem(count=1000)

    def run(folder: Path, *callbacks: Callback) -> solvers.Solution:
        flags = QUIET | {"max_epochs": 5, "callbacks": list(callbacks)}
        solver = SGD("hinge", batch_size=100, trainer=flags, folder=folder)
        return solver(codes[:900], scores[:900].sign(), l2=0.01, held_out=scores[:900].sign())

    whole = run(tmp_path / "whole")
    with pytest.raises(RuntimeError, match="killed"):
        run(tmp_path / "part", StopAfter(3))
    torch.testing.assert_close(run(tmp_path / "part").weights, whole.weights, rtol=0, atol=0)


def test_a_user_s_checkpoints_are_the_only_ones(tmp_path: Path) -> None:
    codes, scores = problem(count=300)
    mine = ModelCheckpoint(tmp_path / "mine", filename="{epoch}")
    flags = QUIET | {"max_epochs": 2, "callbacks": [mine]}
    SGD(trainer=flags, folder=tmp_path / "sgd")(codes, scores.sigmoid(), l2=0.01)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["epoch=1.ckpt"]
    assert not (tmp_path / "sgd" / "checkpoints").exists()


def test_blocks_give_every_row_that_has_a_target_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ifgan_pl.boundaries.solvers.sgd.BLOCK", 7)
    codes = torch.arange(40.0)[:, None]
    targets = torch.where(codes % 4 == 0, torch.nan, codes)
    order = np.random.Generator(np.random.Philox(key=0))
    batches = list(MixedBlocks(codes, targets, 10, 3, order))
    seen = torch.cat([batch for batch, _ in batches])[:, 0]
    assert sorted(seen.tolist()) == [i for i in range(40) if i % 4]
    assert seen.tolist() != sorted(seen.tolist())
    assert all(torch.equal(part, target) for part, target in batches)
    assert len(list(MixedBlocks(codes, targets, 10, 8, order))) == 8  # begins again
    assert torch.cat([batch for batch, _ in HeldOut(codes, targets)])[:, 0].tolist() == sorted(seen.tolist())
    assert [len(batch) for batch, _ in MixedBlocks(codes, targets * torch.nan, 10, 2, order)] == [0, 0]


def test_an_unknown_loss_is_refused() -> None:
    with pytest.raises(ValueError, match="loss of squared, logistic"):
        Hyperplanes(4, ["a"], "mse", [1.0])
