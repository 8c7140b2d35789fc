"""What several test files need, made once a session; no test waits for, or finds, what another one left behind."""

import contextlib
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from ifgan_pl import cli
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import write_json
from ifgan_pl.generators import EMBEDDED, Generator, load_generator
from ifgan_pl.generators.sampling import sample_codes, synthesise
from ifgan_pl.generators.wheels import cached_weights
from ifgan_pl.photos.identity import WHEEL as SFACE
from ifgan_pl.scorer.module import FacialAttributeScorer
from tests.processes import CPU, ROOT

SCORER_METRICS = {"accuracy/smile": 0.987, "auroc/smile": 0.991, "mae/age": 3.25, "r/age": 0.5, "loss": 1.0}


@pytest.fixture(scope="session", autouse=True)
def cache() -> None:
    """The embedded generators and SFace are in the cache and one thread computes, whichever test comes first.

    Without a network every test that needs a generator says so itself.
    """
    torch.set_num_threads(1)
    for name, wheel in {**EMBEDDED, "sface": SFACE}.items():
        with contextlib.suppress(UserError):
            cached_weights(name, wheel)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Data that lies beside a checkout on some machines: published boundaries, labelled images; else a skip."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here")
    return folder


@pytest.fixture(scope="session")
def dcgan() -> Generator:
    """``digiface-dcgan``, real weights at 5 ms an image; a test that changes a generator loads its own."""
    return load_generator("digiface-dcgan")


@pytest.fixture(scope="session")
def small_scorer(dcgan: Generator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of an untrained scorer: random features of an image under the names of the five attributes.

    On faces of ``digiface-dcgan`` each has a standard deviation of 1, and half of them lie on either side of 0. Beside
    it stand invented metrics, as a training would have written them.
    """
    attributes = {"eyeglasses": "binary", "smile": "binary", "male": "binary", "age": "continuous", "yaw": "continuous"}
    torch.manual_seed(0)
    model = FacialAttributeScorer(attributes, backbone="small8", image_size=32).eval()
    model.take_label_statistics(torch.tensor([[-1.0] * 5, [1.0] * 5]))
    with torch.no_grad():
        images = synthesise(dcgan, sample_codes(dcgan, range(64), space="z", truncation=1), space="z")
        model.head.weight /= model(images).std(0)[:, None]
        model.offset -= model(images).median(0).values
    path = tmp_path_factory.mktemp("scorer") / "small.ckpt"
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_model_summary=False, enable_progress_bar=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(path, weights_only=True)
    write_json(path.with_suffix(".json"), SCORER_METRICS)
    return path


@pytest.fixture(scope="session")
def small_run(small_scorer: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """What ``train.py`` made of 200 faces of ``digiface-dcgan`` and the small scorer: the folder, and its arguments."""
    folder = tmp_path_factory.mktemp("run")
    arguments = [
        "--generator",
        "digiface-dcgan",
        "--truncation",
        "1",
        "--num",
        "200",
        "--faces",
        "2",
        "--gradient_faces",
        "2",
    ]
    arguments += ["--scorer", str(small_scorer), "--out", str(folder), *CPU]
    cli.train(arguments)
    return folder, arguments
