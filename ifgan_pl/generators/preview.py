"""Train the preview head of ``ffhq-mobile``: images of 128² from the 64² hidden layer, for scoring."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.callbacks import EMAWeightAveraging
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ifgan_pl.core.files import load_tensors, save_tensors
from ifgan_pl.generators.mobile import PREVIEW_BLOCK, MobileStyleGAN
from ifgan_pl.generators.mobile_layers import ModulatedPointwise, PreviewHead, SeparableConv
from ifgan_pl.generators.sampling import sample_z, synthesise, truncated

TRUNCATIONS = (0.5, 0.7, 0.7, 0.85, 1.0)
"""Sample i of the training stream is truncated by the i-th of these, cyclically: the head must serve all of them."""
VALIDATION = 4
"""Batches of the validation stream."""
AGREEMENT = 0.02
"""Weight of the squared difference of scores, in standard deviations, beside the L1 distance of images."""


class PreviewTask(pl.LightningModule):
    """Fit a :class:`PreviewHead` to full synthesis averaged down to 128², by L1 at 128² and 64² and by its scores.

    Every step sees new faces, synthesised in full: no face is seen twice.

    Args:
        generator: ``ffhq-mobile``; its own preview head, if any, is not used.
        scorer: images (N, 3, H, W) -> scores (N, m), differentiable.
        batch_size, seed: of the training stream; validation is on the stream ``seed + 1``.
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

    def on_fit_start(self) -> None:
        """The frozen networks follow to the device."""
        for part in self.frozen:
            if isinstance(part, nn.Module):
                part.to(self.device).eval().requires_grad_(False)

    def faces(self, step: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What the head reads of a batch, and what it should give: features, scale, w, images (N, 3, 128, 128)."""
        generator = self.frozen[0]
        indices = range(step * self.batch_size, (step + 1) * self.batch_size)
        psi = torch.tensor([TRUNCATIONS[i % len(TRUNCATIONS)] for i in indices])[:, None]
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            w = truncated(generator, sample_z(indices, generator.z_dim, seed=seed).to(self.device), psi)
            ws = w[:, None].expand(-1, generator.num_ws, -1)
            full = synthesise(generator, ws, space="w+").clamp(-1, 1)
            features = generator.hidden(ws, PREVIEW_BLOCK)
            scale = generator.blocks[PREVIEW_BLOCK].get_submodule("up")(w)
        return features, scale, w, F.avg_pool2d(full, generator.img_resolution // 128)

    def training_step(self, batch: int, batch_idx: int) -> Tensor:
        features, scale, w, target = self.faces(batch, self.seed)
        image: Tensor = self.head(features, scale, w).float()
        loss = F.l1_loss(image, target) + F.l1_loss(F.avg_pool2d(image, 2), F.avg_pool2d(target, 2))
        scorer = self.frozen[1]
        with torch.no_grad():
            wanted = scorer(target).float()
        moved = (scorer(image).float() - wanted) / wanted.std(0, correction=0).clamp_min(1e-2)
        self.log("train_l1", loss, prog_bar=True)
        total: Tensor = loss + AGREEMENT * moved.square().mean()
        return total

    def validation_step(self, batch: int, batch_idx: int) -> None:
        features, scale, w, target = self.faces(batch, self.seed + 1)
        error = F.mse_loss(self.head(features, scale, w).float().clamp(-1, 1), target)
        self.log("val_psnr", 10 * torch.log10(4 / error), prog_bar=True, batch_size=1)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        optimizer = torch.optim.AdamW(self.head.parameters(), lr=self.lr, weight_decay=1e-4, betas=(0.9, 0.99))
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.lr, total_steps=steps, pct_start=0.1)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


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


def train_preview(
    generator: MobileStyleGAN,
    scorer: Callable[[Tensor], Tensor],
    out: str | Path,
    *,
    steps: int = 1000,
    batch_size: int = 32,
    seed: int = 1,
) -> None:
    """Train the head and write it beside ``w_mean`` into ``out``.

    Args:
        generator, scorer: see :class:`PreviewTask`.
        out: a safetensors file that has ``w_mean``; it is written anew with ``preview.*`` added.
        steps, batch_size: ``steps · batch_size`` faces are synthesised in full.
        seed: of the sample stream and of the initial weights.
    """
    pl.seed_everything(seed, verbose=False)
    task = PreviewTask(generator, scorer, batch_size=batch_size, seed=seed)
    trainer = pl.Trainer(
        max_epochs=1,
        devices=1,
        precision="bf16-mixed" if torch.cuda.is_available() else "32-true",
        gradient_clip_val=1.0,
        callbacks=[EMAWeightAveraging(decay=0.995, update_starting_at_step=steps // 2)],  # without the first weights
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    train, val = (DataLoader(cast("Dataset[int]", range(n)), batch_size=None) for n in (steps, VALIDATION))
    trainer.fit(task, train, val)
    weights = {f"preview.{k}": v.half().cpu() for k, v in task.head.state_dict().items()}
    tensors, _ = load_tensors(out)
    psnr = round(float(trainer.callback_metrics["val_psnr"]), 2)
    note = {"trained_on": f"{steps * batch_size} faces of seed {seed}", "validation_psnr_db": psnr}
    save_tensors(out, {"w_mean": tensors["w_mean"]} | weights, {"preview": note})
