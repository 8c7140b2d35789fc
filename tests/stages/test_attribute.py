"""``train.py attribute``: from a sheet to look at, over labels, to an edited face; and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ifgan_pl import cli
from ifgan_pl.attributes.faces import features_of_samples
from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.core.resources import cache_dir
from ifgan_pl.data.table import read_columns
from ifgan_pl.generators import Generator
from ifgan_pl.scorer.loading import load_scorer
from ifgan_pl.scores.store import ScoreStore
from tests.commands import failure
from tests.processes import CPU

NUM = 512


@pytest.fixture
def command(
    dcgan: Generator, small_scorer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[str], Callable[[int], float]]:
    """Options of the stage for a small generator in a cache of its own, and who answers: is the image bright?"""
    weights = cache_dir() / "digiface-dcgan.safetensors"
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / weights.name).symlink_to(weights)
    monkeypatch.setenv("IFGAN_PL_CACHE", str(tmp_path / "cache"))
    statistics: dict[str, Any] = {name: torch.ones(1) for name in ("lambdas", "score_mean", "score_std")}
    first = LinearBoundary(torch.eye(100)[:1], attributes=["first"], space="z", family=dcgan.family, **statistics)
    first.save(tmp_path / "first.safetensors")
    faces = features_of_samples(dcgan, load_scorer(small_scorer), NUM, truncation=1, progress=lambda done: None)
    assert faces.codes is not None
    seen = faces.features[:, int(faces.features.std(0).argmax())]
    value = (seen - seen.mean()) / seen.std() + faces.codes[:, 1]
    answer = value > value.median()
    options = ["--generator", "digiface-dcgan", "--truncation", "1", "--num", str(NUM), "--scorer", str(small_scorer)]
    return [*options, "--boundary", str(tmp_path / "first.safetensors")], lambda i: float(answer[i])


def fill(path: Path, answer: Callable[[int], float]) -> None:
    """Answer what a sheet asks; the first of its faces is unclear."""
    rows = [int(i) for i in read_columns(path)["index"]]
    path.write_text("index,bright\n" + "".join(f"{i},{'' if i == rows[0] else answer(i)}\n" for i in rows))


def test_from_a_sheet_to_an_edited_face(
    command: tuple[list[str], Callable[[int], float]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options, answer = command
    sheet, out = tmp_path / "sheet", tmp_path / "more.safetensors"
    ask = ["attribute", "--name", "bright", "--suggest", "40", "--out", str(sheet), *options]
    for asked in (40, 80, 120):
        cli.train(ask)
        assert len(read_columns(sheet / "labels.csv")["index"]) == asked
        assert Image.open(sheet / "sheet.jpg").width > 6 * 256
        fill(sheet / "labels.csv", answer)
    said = capsys.readouterr().out
    assert "bright: AUROC" in said  # of the answers so far
    add = ["attribute", "--name", "bright", "--labels", str(sheet / "labels.csv"), *options, "--out", str(out)]
    cli.train(add)
    said = capsys.readouterr().out
    assert "attribute: bright: AUROC" in said
    assert "119 answers" in said
    found = LinearBoundary.load(out)
    assert found.attributes == ("first", "bright")
    assert found.core == ("first",)
    edit = ["--attribute", "bright", "--hold", "all", "--boundary", str(out), "--seeds", "0", "--steps", "3"]
    cli.edit([*edit, *options[:4], "--out", str(tmp_path / "edited"), *CPU])
    assert (tmp_path / "edited" / "strip.png").is_file()
    line = failure(cli.train, capsys, *add[:-4], "--out", str(out), "--boundary", str(out))
    assert "has bright already: choose another --name, or give --replace" in line
    cli.train([*add, "--boundary", str(out), "--replace"])
    assert LinearBoundary.load(out).attributes == ("first", "bright")
    wide = tmp_path / "wide.ckpt"
    again = [*add[:-2], "--out", str(tmp_path / "b.safetensors"), "--scorer_out", str(wide), "--scorer_images", "300"]
    cli.train(again)
    assert "bright from images alone: AUROC" in capsys.readouterr().out
    assert load_scorer(wide).attributes[-1] == "bright"
    assert "auroc/bright" in json.loads(wide.with_suffix(".json").read_text())
    scored = ["score", *options[:4], "--num", "32", "--scorer", str(wide), "--out", str(tmp_path / "scores")]
    cli.train([*scored, *CPU])
    assert ScoreStore.open(tmp_path / "scores").inputs["attributes"][-1] == "bright"


def test_labels_of_one_s_own_images(
    command: tuple[list[str], Callable[[int], float]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options, _ = command
    random = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    rows = ["file,bright"]
    for i in range(40):
        level = int(random.integers(20, 230))
        pixels = random.integers(0, 25, (40, 40, 3)) + level
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "photos" / f"{i}.png")
        rows.append(f"{i}.png,{int(level > 125)}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    arguments = ["attribute", "--name", "bright", "--labels", str(tmp_path / "labels.csv"), *options]
    cli.train([*arguments, "--images", str(tmp_path / "photos"), "--out", str(tmp_path / "b.safetensors")])
    assert "40 answers" in capsys.readouterr().out
    assert LinearBoundary.load(tmp_path / "b.safetensors").attributes == ("first", "bright")


def test_mistakes_are_one_line(
    command: tuple[list[str], Callable[[int], float]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options, answer = command
    arguments = ["attribute", "--name", "bright", *options]
    labels = tmp_path / "labels.csv"

    def said(text: str, *more: str) -> str:
        labels.write_text(text)
        return failure(cli.train, capsys, *arguments, "--labels", str(labels), *more)

    good = "".join(f"{i},{answer(i):g}\n" for i in range(60))
    coin = np.random.default_rng(5).integers(0, 2, 120)
    assert "give --labels FILE.csv, or --suggest 24" in failure(cli.train, capsys, *arguments)
    assert "3 answers about bright: a head needs 20" in said("index,bright\n1,1\n2,0\n3,1\n")
    assert "60 of 60 answers about bright are yes" in said("index,bright\n" + "".join(f"{i},1\n" for i in range(60)))
    assert f"face {NUM} is not among the {NUM} known" in said(f"index,bright\n{NUM},1\n")
    assert "bright is 'nan'" in said("index,bright\n1,nan\n")
    assert "face 1 is both 1" in said("index,bright\n1,1\n1,0\n")
    assert "cannot be told from a coin's" in said("index,bright\n" + "".join(f"{i},{v}\n" for i, v in enumerate(coin)))
    assert "first already: choose another --name" in said(good.join(["index,first\n", ""]), "--name", "first")
    other = LinearBoundary(torch.eye(100)[:1], attributes=["first"], space="z", family="other")
    other.save(tmp_path / "other.safetensors")
    line = said("index,bright\n" + good, "--boundary", str(tmp_path / "other.safetensors"))
    assert "the boundary belongs to other, the codes to" in line
    assert not (tmp_path / "runs").exists()
