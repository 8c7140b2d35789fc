"""The whole way, ``train.py`` without a stage: scores, boundaries, and a report that also tells of the scorer."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from ifgan_pl import cli
from ifgan_pl.core.files import write_json
from tests.processes import CPU

HEADINGS = [
    "The scorer",
    "Boundaries",
    "How much of a direction is noise?",
    "Are the semantics entangled?",
    "Edited faces, scored again",
    "What the edits look like",
    "Distribution of the scores",
]


def test_every_stage_ends_in_a_report_and_is_up_to_date_afterwards(
    tmp_path: Path, small_scorer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(small_scorer, tmp_path / "small.ckpt")
    metrics = {"accuracy/smile": 0.987, "auroc/smile": 0.991, "mae/age": 3.25, "r/age": 0.5, "loss": 1.0}
    write_json(tmp_path / "small.json", metrics)
    arguments = ["--generator", "digiface-dcgan", "--truncation", "1", "--num", "200", "--faces", "2"]
    arguments += ["--scorer", str(tmp_path / "small.ckpt"), "--out", str(tmp_path / "run"), *CPU]
    cli.train(arguments)
    page = (tmp_path / "run" / "report" / "index.html").read_text()
    places = [page.index(f"<h2>{heading}</h2>") for heading in HEADINGS]
    assert places == sorted(places)
    assert "<td>smile</td><td>0.987</td><td>0.991</td><td>–</td><td>–</td>" in page
    report = json.loads((tmp_path / "run" / "report" / "report.json").read_text())
    assert report["scorer"] == metrics
    assert report["samples"] == 200
    assert report["attributes"] == ["eyeglasses", "smile", "male", "age", "yaw"]
    assert report["rescoring"]["faces"] == 2
    assert len(report["rescoring"]["hold_all"]["movement"]) == 5
    capsys.readouterr()
    cli.train(arguments)
    text = capsys.readouterr().out
    assert all(f"{stage}: up to date" in text for stage in ("score", "boundary", "report"))
    # each command by itself leaves its options where those of the others are not
    store, boundary = ["--scores", str(tmp_path / "run/scores")], str(tmp_path / "run/boundary.safetensors")
    cli.train(["boundary", *store, "--out", boundary])
    made_with = ["--generator", "digiface-dcgan", "--scorer", str(tmp_path / "small.ckpt"), "--faces", "2"]
    cli.train(["report", *made_with, *store, "--boundary", boundary, "--out", str(tmp_path / "run/report")])
    capsys.readouterr()
    cli.train(["--config", str(tmp_path / "run/config.yaml")])
    assert capsys.readouterr().out.count(": up to date") == 3
    names = ("config.yaml", "report/config.yaml", "boundary.config.yaml")
    options = [yaml.safe_load((tmp_path / "run" / name).read_text()) for name in names]
    assert [("num" in given, "faces" in given, "l2" in given) for given in options] == [
        (True, True, False),
        (False, True, False),
        (False, False, True),
    ]
    cli.train(["--config", str(tmp_path / "run/config.yaml"), "--faces", "1"])
    said = capsys.readouterr().out
    assert "boundary: up to date" in said
    assert "report: faces 2 -> 1; making it again" in said
