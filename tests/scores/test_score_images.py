"""Image files scored by the shipped scorer and by any callable, on one rank and on two."""

import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ifgan_pl import cli
from ifgan_pl.images.read import decode, to_float
from ifgan_pl.scorer.loading import find_scorer, load_scorer
from tests.commands import failure
from tests.processes import CPU, ROOT, Job

SCORERS = """
import torch

def brightness(images):
    return images.mean((1, 2, 3))[:, None]

def colours(images):
    return images.mean((2, 3))

def broken(images):
    return images @ torch.ones(3)

def dark(images):
    return torch.full((len(images), 1), torch.nan)

class Sized:
    attributes = ("side", "smile")
    image_size = 48

    def __call__(self, images):
        return torch.full((len(images), 2), float(images.shape[-1]))

    def to_units(self, scores):
        return scores / 2
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Seven images of any shape and format in a tree, one of them grey, and two broken ones."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "my_scorers", raising=False)
    Path("my_scorers.py").write_text(SCORERS)
    places = tmp_path / "photos" / "more"
    places.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for i, (mode, size, suffix) in enumerate(
        [("RGB", (150, 128), "png"), ("L", (300, 310), "jpg"), ("RGBA", (64, 64), "webp"), ("P", (130, 200), "PNG")]
    ):
        noise = generator.integers(0, 256, (size[1], size[0], 3), np.uint8)
        Image.fromarray(noise).convert(mode).save(places.parent / f"{i}.{suffix}")
    for i in range(3):
        Image.new("RGB", (40, 40), (60 * i, 0, 100)).save(places / f"c {i}, .jpg")
    (places / "0-broken.jpg").write_bytes((places.parent / "1.jpg").read_bytes()[:900])
    (places / "0-text.png").write_text("no image")
    (places / "notes.txt").write_text("no image")
    return tmp_path


def read(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_and_files_become_a_table(
    folder: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    single = str(folder / "photos" / "0.png")
    cli.train(["score", "--images", "photos", single, "--out", "table.csv", "--batch_size", "4", *CPU])
    assert "score: 8 images in table.csv, 2 broken left out" in capsys.readouterr().out
    assert "left out 2 broken images: photos/more/0-broken.jpg, photos/more/0-text.png" in caplog.text
    rows = read(folder / "table.csv")
    assert [row["file"] for row in rows][:4] == [f"photos/{name}" for name in ("0.png", "1.jpg", "2.webp", "3.PNG")]
    assert [row["file"] for row in rows][4:] == [*(f"photos/more/c {i}, .jpg" for i in range(3)), single]
    model = load_scorer(ROOT / "checkpoints" / "scorer-faces.ckpt")
    assert list(rows[0]) == ["file", *model.attributes, *(f"{name}_score" for name in model.attributes)]
    expected = model.predict(to_float(torch.from_numpy(np.stack([decode(row["file"], 128) for row in rows]))))
    for name in model.attributes:
        values = torch.tensor([float(row[name]) for row in rows])
        torch.testing.assert_close(values, expected[name], rtol=1e-4, atol=1e-4)
    scores = torch.tensor([[float(row[f"{name}_score"]) for name in model.attributes] for row in rows])
    units = torch.tensor([[float(row[name]) for name in model.attributes] for row in rows])
    torch.testing.assert_close(model.to_units(scores), units, rtol=1e-4, atol=1e-3)


def test_any_callable_scores_by_its_import_path(folder: Path) -> None:
    cli.train(["score", "--images", "photos/more", "--scorer", "my_scorers:brightness", "--out", "folder", *CPU])
    rows = read(folder / "folder" / "scores.csv")
    assert list(rows[0]) == ["file", "brightness", "brightness_score"]
    expected = [(60 * i + 100) / 3 / 127.5 - 1 for i in range(3)]
    assert [float(row["brightness"]) for row in rows] == pytest.approx(expected, abs=0.01)
    cli.train(["score", "--images", "photos/0.png", "--scorer", "my_scorers:Sized", "--out", "s.csv", *CPU])
    assert read(folder / "s.csv") == [
        {"file": "photos/0.png", "side": "24", "smile": "24", "side_score": "48", "smile_score": "48"}
    ]
    colours: Any = find_scorer("my_scorers:colours")
    assert colours.attributes == ("colours0", "colours1", "colours2")


def test_a_callable_takes_the_scorer_s_place_on_samples_too(folder: Path) -> None:
    arguments = ["--generator", "digiface-dcgan", "--truncation", "1", "--num", "4", *CPU]
    cli.train(["score", "--scorer", "my_scorers:colours", *arguments, "--out", "store"])
    from ifgan_pl.scores.store import ScoreStore

    assert ScoreStore.open("store").load()[1].shape == (4, 3)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--images", "nowhere"], "no such file or folder: nowhere"),
        (["--images", "empty"], "no images in empty"),
        (["--images", "photos/more/0-text.png"], "none of the 1 images can be read"),
        (["--images", "photos", "--scorer", "my_scorers:absent"], "cannot import the scorer my_scorers:absent"),
        (["--images", "photos", "--scorer", "my_scorers:broken"], "my_scorers:broken is no scorer of images"),
        (["--images", "photos", "--scorer", "my_scorers:dark"], "not finite for photos/0.png"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], expected: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty").mkdir()
    flags = ["--trainer.enable_progress_bar", "false", *CPU]
    assert expected in failure(cli.train, capsys, "score", *arguments, "--out", "t.csv", *flags)
    assert not Path("t.csv").exists()


def test_two_ranks_write_the_bytes_of_one(folder: Path) -> None:
    flags = ["score", "--images", "photos", "--out"]
    cli.train([*flags, "one.csv", *CPU])
    printed = Job(str(ROOT / "train.py"), *flags, "two.csv", *CPU).succeed()
    assert printed.count("7 images in two.csv, 2 broken left out") == 1
    assert printed.count("left out 2 broken images") == 1
    assert (folder / "two.csv").read_bytes() == (folder / "one.csv").read_bytes()
