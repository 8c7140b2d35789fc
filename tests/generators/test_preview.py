"""Training the preview head: what it learns, and what ranks share."""

from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EMAWeightAveraging
from torch import Tensor
from torch.nn import functional

from ifgan_pl.core.distributed import Ranks
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import load_tensors
from ifgan_pl.generators import preview
from ifgan_pl.generators.loading import load_mobile
from ifgan_pl.generators.mobile import MobileStyleGAN
from ifgan_pl.generators.preview import PreviewTask, initial_head, train_preview
from ifgan_pl.generators.sampling import synthesise


def mean_colours(images: Tensor) -> Tensor:
    return images.mean((2, 3))


def make_trainer(*callbacks: pl.Callback) -> pl.Trainer:
    return pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        gradient_clip_val=1.0,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
        limit_val_batches=1,
        use_distributed_sampler=False,
    )


@pytest.fixture(scope="module")
def mobile() -> MobileStyleGAN:
    return load_mobile()


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of full synthesis the shipped preview, enlarged: an eighth of the time."""

    def enlarged(generator: MobileStyleGAN, codes: Tensor, *, space: str) -> Tensor:
        return functional.interpolate(synthesise(generator, codes, space=space, resolution=128), scale_factor=8)

    monkeypatch.setattr(preview, "synthesise", enlarged)


@pytest.mark.usefixtures("cheap")
def test_the_head_learns_and_is_written_beside_the_mean_code(mobile: MobileStyleGAN, tmp_path: Path) -> None:
    out = tmp_path / "ffhq-mobile.safetensors"
    pl.seed_everything(1, verbose=False)
    task = PreviewTask(mobile, mean_colours, batch_size=2, seed=1)
    initial = {name: value.clone() for name, value in task.head.state_dict().items()}
    train_preview(task, make_trainer(), out, steps=16)
    tensors, metadata = load_tensors(out)
    assert metadata["preview"]["trained_on"] == "32 faces of seed 1"
    assert torch.equal(tensors["w_mean"], mobile.w_mean)
    new = PreviewTask(mobile, mean_colours, batch_size=2)
    features, style, w, target = new.samples(0, seed=9)
    error = {}
    for name, head in (("initial", initial), ("trained", {k: tensors[f"preview.{k}"].float() for k in initial})):
        new.head.load_state_dict(head)
        with torch.no_grad():
            error[name] = float((new.head(features, style, w) - target).abs().mean())
    assert error["trained"] < 0.95 * error["initial"]


@pytest.mark.usefixtures("cheap")
def test_ranks_share_the_samples_of_a_step(mobile: MobileStyleGAN) -> None:
    task = PreviewTask(mobile, mean_colours, batch_size=4)
    whole = task.samples(1, seed=5)
    for rank in range(2):
        task.ranks = Ranks(rank, 2)
        for part, all_ in zip(task.samples(1, seed=5), whole, strict=True):
            torch.testing.assert_close(part, all_[rank::2], rtol=0, atol=1e-3)


def test_samples_that_ranks_cannot_share_evenly_are_refused(
    mobile: MobileStyleGAN, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer()
    monkeypatch.setattr(pl.Trainer, "world_size", 3)
    with pytest.raises(UserError, match="--batch_size 4 must be a multiple of the 3 ranks"):
        train_preview(PreviewTask(mobile, mean_colours, batch_size=4), trainer, tmp_path / "out.safetensors", steps=1)


def test_an_average_of_the_users_replaces_the_default_one(mobile: MobileStyleGAN) -> None:
    task = PreviewTask(mobile, mean_colours)
    task.trainer = make_trainer(EMAWeightAveraging(decay=0.9))
    assert not task.configure_callbacks()
    task.trainer = make_trainer()
    assert len(task.configure_callbacks()) == 1


def test_the_initial_head_keeps_the_size_of_what_it_reads() -> None:
    torch.manual_seed(0)
    head = initial_head()
    with torch.no_grad():
        image = head(torch.randn(1, 16, 16, 512), torch.ones(1, 512), torch.randn(1, 512))
    assert image.shape == (1, 3, 32, 32)
    assert 0 < image.std() < 1
