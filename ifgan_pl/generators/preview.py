"""Train the preview head of ``ffhq-mobile``: images of 128² from the 64² hidden layer, for scoring."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.callbacks import Callback, EMAWeightAveraging, WeightAveraging
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ifgan_pl.core.distributed import ALONE, Ranks
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import save_tensors
from ifgan_pl.generators.mobile import PREVIEW_BLOCK, MobileStyleGAN
from ifgan_pl.generators.mobile_layers import ModulatedPointwise, PreviewHead, SeparableConv
from ifgan_pl.generators.sampling import sample_z, synthesise
from ifgan_pl.generators.truncation import truncated

TRUNCATIONS = (0.5, 0.7, 0.7, 0.85, 1.0)
"""Truncation psi of the training samples: sample i has the i-th of these, cyclically."""
VALIDATION = 4
"""Batches of the validation stream."""
AGREEMENT = 0.02
"""Weight of the squared difference of scores, in standard deviations, beside the L1 distance of images."""


class PreviewTask(pl.LightningModule):
    """Fit a :class:`PreviewHead` to full synthesis averaged down to 128², by L1 at 128² and 64² and by its scores.

    Step s reads samples s · batch_size … (s + 1) · batch_size - 1 of the stream, synthesised in full. Ranks share the
    samples of each step, so that a step is the same on any number of them.

    Args:
        generator: ``ffhq-mobile``; its own preview head, if any, is not used.
        scorer: images (N, 3, H, W) -> scores (N, m), differentiable.
        batch_size: samples of a step, over all ranks.
        seed: of the training stream; validation is on the stream ``seed + 1``.
        lr: peak learning rate of AdamW; it rises over the first 10 % of the steps and falls as a cosine.
    """

    def __init__(
        self,
        generator: MobileStyleGAN,
        scorer: Callable[[Tensor], Tensor],
        *,
        batch_size: int = 32,
        seed: int = 1,
        lr: float = 3e-3,
    ) -> None:
        super().__init__()
        self.head = initial_head()
        self.frozen = (generator, scorer)  # a tuple: they are no part of what is trained, averaged and saved
        self.batch_size, self.seed, self.lr = batch_size, seed, lr
        self.ranks = ALONE

    def configure_callbacks(self) -> Sequence[Callback]:
        """A moving average of the weights over the second half of the steps, unless the user brings an average."""
        given: Sequence[object] = getattr(self.trainer, "callbacks", [])
        return [] if any(isinstance(callback, WeightAveraging) for callback in given) else [SecondHalfAveraging()]

    def on_fit_start(self) -> None:
        """Put the frozen networks on the device of the head, and learn which rank this is."""
        self.ranks = Ranks(self.trainer.global_rank, self.trainer.world_size)
        for part in self.frozen:
            if isinstance(part, nn.Module):
                part.to(self.device).eval().requires_grad_(False)

    def samples(self, step: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """This rank's samples of a step: what the head reads of them, and the images that it should give.

        Args:
            step: of the stream.
            seed: of the stream.

        Returns:
            hidden features (n, 64, 64, 512), the next block's style (n, 512), w (n, 512), images (n, 3, 128, 128).
        """
        generator = self.frozen[0]
        first = step * self.batch_size
        indices = range(first + self.ranks.rank, first + self.batch_size, self.ranks.size)
        psi = torch.tensor([TRUNCATIONS[i % len(TRUNCATIONS)] for i in indices])[:, None]
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            w = truncated(generator, sample_z(indices, generator.z_dim, seed=seed).to(self.device), psi)
            ws = w[:, None].expand(-1, generator.num_ws, -1)
            full = synthesise(generator, ws, space="w+").clamp(-1, 1)
            features = generator.hidden(ws, PREVIEW_BLOCK)
            style = generator.blocks[PREVIEW_BLOCK].get_submodule("up")(w)
        return features, style, w, F.avg_pool2d(full, generator.img_resolution // 128)

    def training_step(self, batch: int, batch_idx: int) -> Tensor:
        """The loss of this rank's samples of step ``batch``; the mean over ranks is that of all samples."""
        features, style, w, target = self.samples(batch, self.seed)
        image: Tensor = self.head(features, style, w).float()
        loss = F.l1_loss(image, target) + F.l1_loss(F.avg_pool2d(image, 2), F.avg_pool2d(target, 2))
        scorer = self.frozen[1]
        with torch.no_grad():
            wanted = scorer(target).float()
        mean = self.ranks.sum(wanted.sum(0)) / self.batch_size
        std = (self.ranks.sum((wanted - mean).square().sum(0)) / self.batch_size).sqrt().clamp_min(1e-2)
        agreement = ((scorer(image).float() - wanted) / std).square().mean()
        self.log("train/l1", loss, prog_bar=True, sync_dist=True)
        total: Tensor = loss + AGREEMENT * agreement
        return total

    def validation_step(self, batch: int, batch_idx: int) -> None:
        """Log ``val/psnr`` of the images of a step, in dB."""
        features, style, w, target = self.samples(batch, self.seed + 1)
        error = F.mse_loss(self.head(features, style, w).float().clamp(-1, 1), target)
        psnr = 10 * torch.log10(4 / (self.ranks.sum(error) / self.ranks.size))
        self.log("val/psnr", psnr, prog_bar=True, batch_size=1, sync_dist=True)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        optimizer = torch.optim.AdamW(self.head.parameters(), lr=self.lr, weight_decay=1e-4, betas=(0.9, 0.99))
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.lr, total_steps=steps, pct_start=0.1)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class SecondHalfAveraging(EMAWeightAveraging):
    """A moving average over the second half of the optimizer steps, without the weights of the first half."""

    def __init__(self, decay: float = 0.995) -> None:
        super().__init__(decay=decay)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Find the middle of training."""
        self.update_starting_at_step = int(trainer.estimated_stepping_batches) // 2


def initial_head() -> PreviewHead:
    """A head whose layers keep the size of what they read, and whose image starts grey."""
    head = PreviewHead()
    for module in head.modules():
        if isinstance(module, ModulatedPointwise):
            nn.init.normal_(module.weight, std=(1.6 / module.weight.shape[1]) ** 0.5)
            nn.init.normal_(module.style.weight, std=0.01)
            nn.init.ones_(module.style.bias)
        elif isinstance(module, SeparableConv):
            nn.init.normal_(module.depthwise, std=0.1)
            with torch.no_grad():
                module.depthwise[:, :, 1, 1] += 1
    with torch.no_grad():
        head.reduce_styled.weight.zero_()
        for conv in head.convs:
            conv.get_submodule("pointwise").get_parameter("weight").mul_(0.3)
        head.out.weight.mul_(0.1)
    return head


def train_preview(task: PreviewTask, trainer: pl.Trainer, out: str | Path, *, steps: int = 1000) -> None:
    """Train a preview head; rank 0 writes it beside ``w_mean`` into ``out``.

    Args:
        task: its generator, scorer and training stream.
        trainer: without a distributed sampler: every rank takes part in every step.
        out: the safetensors file, as :func:`ifgan_pl.generators.loading.load_mobile` reads it.
        steps: of an epoch.

    Raises:
        UserError: the ranks cannot share the samples of a step evenly.
    """
    if task.batch_size % trainer.world_size:
        raise UserError(f"--batch_size {task.batch_size} must be a multiple of the {trainer.world_size} ranks")
    train, val = (DataLoader(cast("Dataset[int]", range(n)), batch_size=None) for n in (steps, VALIDATION))
    trainer.fit(task, train, val)
    if trainer.is_global_zero:
        head = {f"preview.{name}": value.half() for name, value in task.head.state_dict().items()}
        psnr = round(float(trainer.callback_metrics["val/psnr"]), 2)
        note = {"trained_on": f"{steps * task.batch_size} faces of seed {task.seed}", "validation_psnr_db": psnr}
        save_tensors(out, {"w_mean": task.frozen[0].w_mean} | head, {"preview": note})
