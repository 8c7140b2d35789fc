"""The whole way, ``train.py`` without a stage: scores, boundaries, and a report that also judges the scorer."""

import json
from pathlib import Path

import pytest
import torch

from ifgan_pl import cli
from ifgan_pl.core.files import write_json
from ifgan_pl.generators import load_generator
from ifgan_pl.generators.sampling import sample_codes, synthesise
from ifgan_pl.report.build import scorer_table
from ifgan_pl.scorer.training import save_scorer
from tests.processes import CPU
from tests.scorer.test_module import make_model, make_trainer


def test_every_stage_ends_in_a_report_and_is_fresh_afterwards(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, generator = make_model().eval(), load_generator("digiface-dcgan")
    with torch.no_grad():  # both classes of ``light`` must occur
        images = synthesise(generator, sample_codes(generator, range(64), space="z", truncation=1), space="z")
        model.offset -= model(images).median(0).values
    save_scorer(model, tmp_path / "toy.ckpt", make_trainer(tmp_path, 1))
    metrics = {"accuracy/light": 0.987, "auroc/light": 0.991, "mae/level": 3.25, "r/level": 0.5, "loss": 1.0}
    write_json(tmp_path / "toy.json", metrics)
    arguments = ["--generator", "digiface-dcgan", "--truncation", "1", "--num", "200", "--faces", "2"]
    arguments += ["--scorer", str(tmp_path / "toy.ckpt"), "--out", str(tmp_path / "run"), *CPU]
    cli.train(arguments)
    page = (tmp_path / "run" / "report" / "index.html").read_text()
    assert "<h2>The scorer</h2><table><tr><th>attribute</th><th>accuracy</th>" in page
    assert "<td>light</td><td>0.987</td><td>0.991</td><td>–</td><td>–</td>" in page
    report = json.loads((tmp_path / "run" / "report" / "report.json").read_text())
    assert report["scorer"] == metrics
    assert report["samples"] == 200
    assert len(report["rescoring"]["hold_all"]["movement"]) == 3
    capsys.readouterr()
    cli.train(arguments)
    text = capsys.readouterr().out
    assert all(f"{stage}: up to date" in text for stage in ("score", "boundary", "report"))


def test_the_scorer_s_figures_stand_in_the_order_of_its_scores() -> None:
    page = scorer_table({"accuracy/male": 0.25, "accuracy/smile": 0.5, "r/age": 0.75}, ["smile", "male", "age"])
    words = ("accuracy", ">smile<", "0.500", ">male<", "0.250", ">age<", "0.750")
    places = [page.index(word) for word in words]
    assert places == sorted(places)
    assert "F1" not in page
