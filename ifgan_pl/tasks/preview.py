"""Train the preview head of ``ffhq-mobile``: pictures of 128² from the 64² hidden layer, for scoring."""

from pathlib import Path

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from ifgan_pl.artefacts import load_tensors, save_tensors
from ifgan_pl.generators.mobile import PREVIEW_BLOCK, MobileStyleGAN, ModulatedPointwise, PreviewHead, SeparableConv
from ifgan_pl.latents import sample_z
from ifgan_pl.numerics import map_micro_batches
from ifgan_pl.sampling import synthesise

CROP = 32
"""Side of a training crop of the 64² hidden layer."""
TRUNCATIONS = (0.5, 0.7, 0.85, 1.0)
"""Sample i of the training stream is truncated by the i-th of these, cyclically: the head must serve all of them."""


class PreviewTask(pl.LightningModule):
    """Fit a :class:`PreviewHead` to full synthesis averaged down to 128², by L1 at 128² and 64².

    Steps see crops of the hidden layer: neighbours tell little that is new, other faces more.

    Args:
        head: starts as it is.
        lr: peak learning rate of AdamW; it rises over the first 5 % of the steps and falls as a cosine.
    """

    def __init__(self, head: PreviewHead, lr: float = 3e-3) -> None:
        super().__init__()
        self.lr = lr
        self.head = head

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        features, scale, w, target = batch
        top, left = (int(v) for v in torch.randint(0, features.shape[1] - CROP + 1, (2,)))
        features = features[:, top : top + CROP, left : left + CROP]
        target = target[:, :, 2 * top : 2 * (top + CROP), 2 * left : 2 * (left + CROP)]
        picture = self.head(features.to(scale.dtype), scale, w)
        loss = F.l1_loss(picture, target) + F.l1_loss(F.avg_pool2d(picture, 2), F.avg_pool2d(target, 2))
        self.log("train_l1", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        features, scale, w, target = batch
        picture = self.head(features.to(scale.dtype), scale, w)
        self.log("val_psnr", 10 * torch.log10(4 / F.mse_loss(picture, target)), prog_bar=True)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.lr, weight_decay=1e-4)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.lr, total_steps=steps, pct_start=0.05)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def initial_head(features: Tensor) -> PreviewHead:
    """A head that starts from the whitened principal components of some features (N, H, W, 512)."""
    x = features.flatten(0, 2).double()
    values, vectors = torch.linalg.eigh(torch.cov(x.T))
    head = PreviewHead()
    components = len(head.reduce.weight)
    with torch.no_grad():
        head.reduce.weight.copy_((vectors / values.clamp_min(1e-6).sqrt()).flip(1)[:, :components].T)
        head.reduce.bias.copy_(-head.reduce.weight @ x.mean(0).float())
        head.reduce_styled.weight.zero_()
        for module in head.modules():
            if isinstance(module, ModulatedPointwise):
                nn.init.normal_(module.weight, std=0.05)
                nn.init.normal_(module.style.weight, std=0.01)
                nn.init.ones_(module.style.bias)
            elif isinstance(module, SeparableConv):
                nn.init.normal_(module.depthwise, std=0.3)
    return head


@torch.no_grad()
def preview_samples(generator: MobileStyleGAN, indices: range, *, seed: int) -> TensorDataset:
    """What the head reads, and what it should give: float16 features, scale, w, target (3, 128, 128)."""
    w = generator.mapping(sample_z(indices, generator.z_dim, seed=seed))
    psi = torch.tensor([TRUNCATIONS[i % len(TRUNCATIONS)] for i in indices])[:, None]
    w = generator.w_mean + psi * (w - generator.w_mean)
    ws = w[:, None].expand(-1, generator.num_ws, -1)
    side = generator.img_resolution // 128
    features, targets = [], []
    for chunk in track(torch.split(ws, 4), "full synthesis for the preview head"):
        features.append(map_micro_batches(lambda c: generator.hidden(c, PREVIEW_BLOCK), chunk).half())
        targets.append(F.avg_pool2d(synthesise(generator, chunk, space="w+").clamp(-1, 1), side))
    return TensorDataset(
        torch.cat(features), generator.blocks[PREVIEW_BLOCK].get_submodule("up")(w), w, torch.cat(targets)
    )


def train_preview(
    generator: MobileStyleGAN, out: str | Path, *, num: int = 768, num_val: int = 64, epochs: int = 60, seed: int = 1
) -> None:
    """Synthesise ``num`` faces in full, train the head on them and write it beside ``w_mean`` into ``out``.

    Args:
        generator: ``ffhq-mobile``; its own preview head, if any, is not used.
        out: a safetensors file that has ``w_mean``; it is written anew with ``preview.*`` added.
        num, num_val: faces to fit and to report on; 4 MB of memory each.
        epochs: passes over them.
        seed: of the sample stream, of the initial weights and of the order.
    """
    pl.seed_everything(seed, verbose=False)
    val, train = (
        preview_samples(generator, range(num_val), seed=seed + 1),
        preview_samples(generator, range(num), seed=seed),
    )
    task = PreviewTask(initial_head(train.tensors[0][:: max(1, num // 64)].float()))
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_model_summary=False
    )
    trainer.fit(task, DataLoader(train, batch_size=16, shuffle=True), DataLoader(val, batch_size=8))
    weights = {f"preview.{k}": v.half() for k, v in task.head.state_dict().items()}
    tensors, _ = load_tensors(out)
    psnr = round(float(trainer.callback_metrics["val_psnr"]), 2)
    note = {"trained_on": f"{num} faces of seed {seed}", "validation_psnr_db": psnr, "epochs": epochs}
    save_tensors(out, {"w_mean": tensors["w_mean"]} | weights, {"preview": note})
