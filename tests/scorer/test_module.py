"""The scorer as a LightningModule: scores, units, loss, fit, resumption, prediction, distribution."""

import json
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from ifgan_pl.core.errors import UserError
from ifgan_pl.scorer.loading import load_scorer
from ifgan_pl.scorer.module import FacialAttributeScorer
from ifgan_pl.scorer.training import fit_scorer
from tests.processes import Job
from tests.scorer.toys import KINDS, make_data, make_model, make_trainer, write_data

# ---------------------------------------------------------------------- scores


@pytest.mark.parametrize("shape", [(64, 64), (16, 16), (40, 72), (33, 33)])
def test_any_size_is_scored(shape):
    scores = make_model().eval()(torch.rand(2, 3, *shape) * 2 - 1)
    assert scores.shape == (2, 3)
    assert scores.dtype == torch.float32


def test_full_images_are_averaged_down():
    model = make_model().eval()
    small = torch.rand(2, 3, 32, 32) * 2 - 1
    large = small.repeat_interleave(8, 2).repeat_interleave(8, 3)
    torch.testing.assert_close(model(large), model(small), atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match=r"\(N, 3, H, W\) expected, got \(3, 32, 32\)"):
        model(small[0].expand(3, 32, 32))


def test_units_and_scores_are_inverse():
    model = make_model()
    model.mean.copy_(torch.tensor([0.0, 100.0, 0.0]))
    model.sd.copy_(torch.tensor([1.0, 30.0, 0.5]))
    scores = torch.tensor([[0.0, 1.0, -2.0]])
    units = model.to_units(scores)
    assert units.tolist() == [[0.5, 130.0, -1.0]]
    torch.testing.assert_close(model.to_scores(units), scores)
    predicted = model.predict(torch.zeros(2, 3, 32, 32))
    assert list(predicted) == list(KINDS)
    assert predicted["light"].shape == (2,)
    assert 0 < predicted["light"][0] < 1


# ------------------------------------------------------------------------- loss


def test_missing_labels_have_no_gradient():
    model = make_model()
    scores = torch.randn(4, 3, requires_grad=True)
    target = torch.tensor([[1.0, 0.5, torch.nan], [torch.nan] * 3, [0.0, torch.nan, 1.0], [1.0, 2.0, 3.0]])
    loss = model.loss(scores, target)
    loss.backward()
    assert scores.grad is not None
    assert torch.equal(scores.grad == 0, target.isnan())
    assert model.loss(scores, torch.full((4, 3), torch.nan)) == 0
    model.loss(torch.randn(1, 3, requires_grad=True), target[1:2]).backward()


def test_balance_weighs_classes_and_calibration_undoes_it():
    model = make_model(balance=1.0)
    share = 0.1
    model.positives.fill_(share)
    labels = torch.zeros(1000, 3).fill_(torch.nan)
    labels[:, 0] = (torch.arange(1000) < 1000 * share).float()
    constant = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.LBFGS([constant], max_iter=50)

    def closure():
        optimizer.zero_grad()
        loss = model.loss(constant.expand(1000, 3), labels)
        loss.backward()
        return loss

    optimizer.step(closure)
    assert abs(float(constant.detach())) < 1e-3  # both classes weigh the same
    model.offset[0] = torch.logit(torch.tensor(share))
    assert float(torch.sigmoid(constant.detach() + model.offset[0])) == pytest.approx(share, abs=1e-3)


# --------------------------------------------------------------------- training


def test_fit_learns_calibrates_and_saves(tmp_path):
    data, model = make_data(tmp_path / "data"), make_model(label_smoothing=0.05, balance=0.5)
    metrics = fit_scorer(model, data, make_trainer(tmp_path, 25), out=tmp_path / "scorer.ckpt")
    assert metrics["accuracy/light"] > 0.85
    assert metrics["r/level"] > 0.9
    assert metrics["r/yaw"] > 0.7
    assert json.loads((tmp_path / "scorer.json").read_text()) == metrics
    loaded = load_scorer(tmp_path / "scorer.ckpt")
    images = torch.rand(3, 3, 32, 32)
    torch.testing.assert_close(loaded(images), model.eval()(images))
    assert loaded.attributes == tuple(KINDS)
    assert loaded.kinds == ("binary", "continuous", "continuous")
    assert torch.equal(loaded.mean, model.mean)
    assert 80 < float(loaded.mean[1]) < 150
    torch.load(tmp_path / "scorer.ckpt", weights_only=True)


def test_a_run_killed_and_resumed_ends_with_the_same_weights(tmp_path):
    class Killed(pl.Callback):
        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            if trainer.current_epoch == 2 and batch_idx == 1:
                raise KeyboardInterrupt

    whole = make_model()
    make_trainer(tmp_path / "whole", 4).fit(whole, datamodule=make_data(tmp_path / "data"))
    torch.manual_seed(123)  # the state of the global generator must not matter
    first = make_model()
    with pytest.raises(SystemExit):
        make_trainer(tmp_path / "part", 4, callbacks=[Killed()]).fit(first, datamodule=make_data(tmp_path / "data"))
    (last,) = (tmp_path / "part").rglob("last.ckpt")
    torch.manual_seed(456)
    rest = make_model(lr=5e-3)
    trainer = make_trainer(tmp_path / "rest", 4)
    trainer.fit(rest, datamodule=make_data(tmp_path / "data"), ckpt_path=last, weights_only=True)
    assert trainer.global_step == 4 * 5
    for (name, expected), value in zip(whole.state_dict().items(), rest.state_dict().values(), strict=True):
        assert torch.equal(expected, value), name


# ---------------------------------------------------------------- label statistics


def test_statistics_come_from_the_data_module_that_trains(tmp_path):
    data, model = make_data(tmp_path / "data"), FacialAttributeScorer(KINDS, backbone="small8", image_size=32)
    assert model.to_units(torch.zeros(1, 3)).isnan().tolist() == [[False, True, True]]
    make_trainer(tmp_path, 1).fit(model, datamodule=data)
    targets = data.train_targets()
    torch.testing.assert_close(model.mean[1:], targets[:, 1:].mean(0), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(model.sd[1:], targets[:, 1:].std(0, correction=0), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(model.positives[0], targets[:, 0].nanmean())
    assert model.mean[0] == 0
    assert model.sd[0] == 1


def test_plain_loaders_need_statistics_and_then_train(tmp_path):
    data, model = make_data(tmp_path / "data"), FacialAttributeScorer(KINDS, backbone="small8", image_size=32)
    batches: DataLoader[dict[str, torch.Tensor]] = data.train_dataloader()
    with pytest.raises(ValueError, match=r"train_targets\(\).* or call scorer\.take_label_statistics\(targets\)"):
        make_trainer(tmp_path, 1).fit(model, batches)
    with pytest.raises(ValueError, match="does not know its labels' means"):
        make_trainer(tmp_path, 1).fit(model, datamodule=pl.LightningDataModule.from_datasets(batches.dataset))
    model.take_label_statistics(data.train_targets())
    before = model.head.weight.detach().clone()
    make_trainer(tmp_path, 1).fit(model, batches)
    assert not torch.equal(model.head.weight, before)


def test_an_attribute_without_labels_is_an_error(tmp_path):
    folder, table = write_data(tmp_path / "data")
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0], *(",".join([*line.split(",")[:4], ""]) for line in lines[1:])]) + "\n")
    data = make_data(folder)
    assert dict(data.attributes) == KINDS | {"yaw": "binary"}  # as no label of it is anything else than 0 or 1
    model = FacialAttributeScorer(data.attributes, backbone="small8", image_size=32)
    with pytest.raises(UserError, match="no training row has a label of yaw"):
        make_trainer(tmp_path, 1).fit(model, datamodule=data)


# ------------------------------------------------------------ prediction, distribution


def test_prediction_names_its_rows(tmp_path):
    data, model = make_data(tmp_path / "data"), make_model()
    batches: Any = make_trainer(tmp_path, 1).predict(model, datamodule=data)
    index = torch.cat([batch["index"] for batch in batches])
    scores = torch.cat([batch["scores"] for batch in batches])
    assert index.tolist() == data.rows("report").tolist()
    images = torch.from_numpy(data._images[0][index.numpy()]) / 127.5 - 1
    torch.testing.assert_close(scores, model.eval()(images), rtol=1e-4, atol=1e-5)
    padded = {"image": torch.zeros(2, 3, 32, 32), "index": torch.tensor([4, -1])}
    assert model.predict_step(padded, 0)["index"].tolist() == [4]
    assert model.predict_step(padded, 0)["scores"].shape == (1, 3)


WORKER = """
import json, sys, torch
from pathlib import Path
from tests.scorer.toys import make_data, make_model, make_trainer
folder, ranks = Path(sys.argv[1]), int(sys.argv[2])
model, data = make_model(), make_data(folder / "data")
data.setup(); model.eval()
trainer = make_trainer(folder, 1, devices=ranks, strategy="ddp" if ranks > 1 else "auto")
results = trainer.test(model, datamodule=data, verbose=False)[0]
if trainer.is_global_zero:
    (folder / f"results{ranks}.json").write_text(json.dumps(results))
torch.save(trainer.predict(model, datamodule=data), folder / f"scores{ranks}-{trainer.global_rank}.pt")
"""


def test_two_ranks_give_the_metrics_and_scores_of_one_on_an_odd_number(tmp_path):
    write_data(tmp_path / "data", 61)
    rows = make_data(tmp_path / "data")
    rows.prepare_data()
    assert len(rows.rows("report")) == 15
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    results, scores = [], []
    for ranks in (1, 2):
        Job(str(script), str(tmp_path), str(ranks), ranks=ranks).succeed()
        results.append(json.loads((tmp_path / f"results{ranks}.json").read_text()))
        files = [tmp_path / f"scores{ranks}-{rank}.pt" for rank in range(ranks)]
        batches = [batch for file in files for batch in torch.load(file, weights_only=True)]
        found = {i: row for b in batches for i, row in zip(b["index"].tolist(), b["scores"], strict=True)}
        assert sum(len(batch["index"]) for batch in batches) == len(found) == 15
        scores.append(found)
    assert results[0].keys() == results[1].keys()
    assert len(results[0]) == 10
    for name, value in results[0].items():
        assert results[1][name] == pytest.approx(value, abs=1e-6), name
    assert scores[0].keys() == scores[1].keys()
    for row, value in scores[0].items():
        torch.testing.assert_close(scores[1][row], value, rtol=1e-5, atol=1e-5)
