"""Training: each flag, averages, early stopping, what is filled in where the user gave no callback."""

import math
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, EMAWeightAveraging, ModelCheckpoint, RichProgressBar
from pytorch_lightning.callbacks import WeightAveraging as Averaging

from ifgan_pl.core.checkpoint_io import AtomicCheckpointIO
from ifgan_pl.core.errors import UserError
from ifgan_pl.scorer.loading import load_scorer
from ifgan_pl.scorer.module import FacialAttributeScorer
from ifgan_pl.scorer.training import fit_scorer, last_checkpoint, new_scorer, scorer_trainer
from tests.scorer.toys import KINDS, make_data, make_model, make_trainer, only


class Trace(pl.Callback):
    """Learning rates and head weights after every batch."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.heads: list[torch.Tensor] = []

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: object) -> None:
        assert isinstance(module, FacialAttributeScorer)
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])
        self.heads.append(module.head.weight.detach().clone())


# ------------------------------------------------------------------------ flags


@pytest.mark.parametrize(
    ("model_options", "trainer_options"),
    [
        ({}, {"precision": "bf16-mixed"}),
        ({"channels_last": False}, {}),
        ({"compile": True}, {}),
        ({}, {"accumulate_grad_batches": 2, "ema": 0, "patience": 3}),
    ],
    ids=["bf16-mixed", "channels_first", "compile", "accumulate"],
)
def test_each_flag_trains_a_scorer_that_loads(
    model_options: dict[str, Any],
    trainer_options: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiled: list[torch.nn.Module] = []

    def captured(module: torch.nn.Module) -> None:  # the graph is captured; the C++ compiler is not needed
        compiled.append(module)
        module._compiled_call_impl = torch.compile(module._call_impl, backend="eager", fullgraph=True)

    monkeypatch.setattr(torch.nn.Module, "compile", captured)
    options: dict[str, Any] = {"backbone": "small8", "image_size": 32, "augmentation": 0.3, "lr": 5e-3}
    model = new_scorer(KINDS, **(options | model_options))
    metrics = fit_scorer(
        model, make_data(tmp_path / "data"), make_trainer(tmp_path, 12, **trainer_options), out=tmp_path / "s.ckpt"
    )
    assert metrics["r/level"] > 0.7
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert compiled == ([model.backbone] if "compile" in model_options else [])
    loaded = load_scorer(tmp_path / "s.ckpt")
    assert len(compiled) <= 1  # loading compiles nothing
    images = torch.rand(3, 3, 32, 32)
    torch.testing.assert_close(loaded(images), model.eval()(images), rtol=1e-4, atol=1e-4)
    torch.compiler.reset()


def test_channels_last_is_only_a_layout() -> None:
    images = torch.rand(4, 3, 32, 32)
    first, last = make_model(channels_last=False).eval(), make_model().eval()
    kernel = next(p for p in last.backbone.parameters() if p.ndim == 4 and p.shape[1] > 1)
    assert kernel.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(first(images), last(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_warm_up_and_cosine_count_optimiser_steps(accumulate: int, tmp_path: Path) -> None:
    trace = Trace()
    model = make_model(warmup=0.25, lr=0.01)
    trainer = make_trainer(tmp_path, 4, ema=0, accumulate_grad_batches=accumulate, callbacks=[trace])
    trainer.fit(model, datamodule=make_data(tmp_path / "data"))
    steps = 20 if accumulate == 1 else 12  # 5 batches an epoch; the last of an epoch does not wait
    assert trainer.global_step == steps
    rates = torch.tensor(trace.rates)
    warm = round(0.25 * steps)
    if accumulate == 1:
        torch.testing.assert_close(rates[: warm - 1], 0.01 * torch.arange(2, warm + 1) / warm)
        fall = torch.arange(1, steps - warm + 1) / (steps - warm)
        torch.testing.assert_close(rates[warm:], 0.01 * (0.5 + 0.5 * torch.cos(math.pi * fall)))
    assert rates.max() == pytest.approx(0.01)
    assert rates[-1] == pytest.approx(0, abs=1e-9)


def test_average_of_the_weights_is_the_exponential_one(tmp_path: Path) -> None:
    trace = Trace()
    model = make_model()
    make_trainer(tmp_path, 2, ema=0.8, callbacks=[trace]).fit(model, datamodule=make_data(tmp_path / "data"))
    average = trace.heads[0]
    for head in trace.heads[1:]:
        average = 0.8 * average + 0.2 * head
    assert not torch.allclose(model.head.weight, trace.heads[-1], atol=1e-4)
    torch.testing.assert_close(model.head.weight.detach(), average, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("ema", [0, 0.5])
def test_early_stopping_keeps_the_best_weights(ema: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([3.0, 2.0, 1.0, 4.0, 5.0, *[9.0] * 20])
    seen: list[torch.Tensor] = []
    model = make_model()
    logged = model.log_dict

    def log_dict(values: dict[str, torch.Tensor]) -> None:
        if "val/loss" in values and model.trainer.state.fn == "fit":
            values["val/loss"] = torch.tensor(next(losses))
        logged(values)

    def keep(trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.state.fn == "fit":
            seen.append(model.head.weight.detach().clone())

    calibrated: list[torch.Tensor] = []
    monkeypatch.setattr(model, "log_dict", log_dict)
    monkeypatch.setattr(model, "calibrate", lambda scores, target: calibrated.append(scores))
    watch = pl.callbacks.LambdaCallback(on_validation_start=None, on_validation_batch_end=lambda *a: keep(a[0], a[1]))
    trainer = make_trainer(tmp_path, 30, ema=ema, patience=2, callbacks=[watch])
    data = make_data(tmp_path / "data")
    fit_scorer(model, data, trainer, out=tmp_path / "s.ckpt")
    assert len(seen) == 5  # 3, 2, 1, then twice no better
    loaded = load_scorer(tmp_path / "s.ckpt")
    assert torch.equal(loaded.head.weight, seen[2])
    held_out = next(iter(data.val_dataloader()))["image"]
    with torch.no_grad():  # not the last average's, which the callback would exchange them for
        torch.testing.assert_close(calibrated[0].float(), loaded(held_out / 127.5 - 1), rtol=1e-4, atol=1e-5)


def test_a_run_killed_after_its_last_checkpoint_ends_alike(tmp_path: Path) -> None:
    for name, resume in (("whole", None), ("rest", tmp_path / "checkpoints" / "last.ckpt")):
        model, data, trainer = make_model(), make_data(tmp_path / "data"), make_trainer(tmp_path, 2)
        fit_scorer(model, data, trainer, out=tmp_path / f"{name}.ckpt", resume=resume)
    whole, rest = (torch.load(tmp_path / f"{name}.ckpt", weights_only=True) for name in ("whole", "rest"))
    assert whole["global_step"] == rest["global_step"] == 10
    for name, value in whole["state_dict"].items():
        assert torch.equal(value, rest["state_dict"][name]), name
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["last.ckpt"]


# --------------------------------------------------------------------- callbacks


def test_the_defaults_are_one_of_each_kind(tmp_path: Path) -> None:
    trainer = scorer_trainer({"accelerator": "cpu", "callbacks": None}, tmp_path, ema=0.9, patience=4)
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    checkpoint = only(callbacks, ModelCheckpoint)
    assert (checkpoint.dirpath, checkpoint.monitor) == (str(tmp_path.resolve() / "checkpoints"), "val/loss")
    assert only(callbacks, EarlyStopping).patience == 4
    only(callbacks, EMAWeightAveraging)
    only(callbacks, RichProgressBar)
    assert [Path(str(logger.save_dir)) for logger in trainer.loggers] == [tmp_path, tmp_path]
    assert isinstance(trainer.strategy.checkpoint_io, AtomicCheckpointIO)


def test_checkpoints_follow_what_stops_the_training(tmp_path: Path) -> None:
    stopping = EarlyStopping("val/auroc/light", mode="max")
    flags: dict[str, Any] = {"accelerator": "cpu", "logger": False}
    trainer = scorer_trainer(flags | {"callbacks": stopping}, tmp_path, ema=0, patience=4)
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    assert only(callbacks, EarlyStopping) is stopping
    checkpoint = only(callbacks, ModelCheckpoint)
    assert (checkpoint.monitor, checkpoint.mode) == ("val/auroc/light", "max")
    assert not [c for c in callbacks if isinstance(c, Averaging)]
    mine = ModelCheckpoint()
    trainer = scorer_trainer(flags | {"callbacks": [mine]}, tmp_path)
    assert only(trainer.callbacks, ModelCheckpoint) is mine  # type: ignore[attr-defined]
    assert mine.dirpath == str(tmp_path.resolve() / "checkpoints")
    with pytest.raises(UserError, match=r"no such file: .*last\.ckpt; it is written by .* save_last: true"):
        last_checkpoint(trainer)
    trainer = scorer_trainer(flags | {"enable_checkpointing": False}, tmp_path)
    assert not trainer.checkpoint_callbacks
    with pytest.raises(UserError, match="nothing to resume"):
        last_checkpoint(trainer)
