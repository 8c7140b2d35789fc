"""Train the encoder: first on codes that are known, then on what its codes look like."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from ifgan_pl.core.distributed import ALONE, Ranks
from ifgan_pl.generators.mobile import MobileStyleGAN
from ifgan_pl.generators.sampling import sample_z
from ifgan_pl.photos.encoder import FaceEncoder
from ifgan_pl.photos.encoder_pairs import full_ws
from ifgan_pl.photos.identity import face_part
from ifgan_pl.scorer.augment import add_noise, geometry, jpeg, recolour, soften, uniforms
from ifgan_pl.scorer.module import FacialAttributeScorer

STATISTICS = 20_000
"""Codes from which the mean and covariance of W are estimated."""
CODE, PENALTY_A, PENALTY_OFFSETS = 0.1, 2e-3, 1e-2
"""Weights of the error of known codes and, on photographs, of the squares of a and δ."""
IDENTITY, FEATURES, PIXELS = 3.0, 0.5, 1.0
"""Weights of the distances of embeddings, of normalised features, and of images at 64² and 16²."""
EMPHASIS = 0.7
"""Principal coordinates count by their variance to this power: 1 would be distance in W, 0 Mahalanobis' distance."""
DOUBT = 0.5
"""Length of the random part of an embedding of length 1: photographs of a person are not alike either."""
Pairs = tuple[Tensor, Tensor, Tensor]
"""Images (N, 3, 128, 128) uint8, codes (N, rows, 512) and embeddings (N, 128), float16."""


class EncoderTask(pl.LightningModule):
    """Fit a :class:`FaceEncoder`; a step is the same on any number of ranks, which share its samples.

    For ``pair_steps`` steps the encoder sees disturbed images of the pairs and is to give their codes. In the steps
    that follow half of each batch are photographs, and its codes are judged by their images as well: by SFace's
    embedding and features of the face, and by colours.

    Args:
        generator: for the images of the encoder's codes: ``ffhq-mobile``, in any precision.
        pairs: to learn from; the last ``validation`` of them are kept apart.
        photos: (M, 4, 128, 128) uint8, aligned photographs and whether a pixel is of the photograph (255) or made up;
            ``None``: pairs alone. The last ``validation`` are kept apart.
        pair_steps, photo_steps: of the two stages.
        pair_batch, photo_batch: samples of a step, over all ranks.
        lr: peak learning rate of AdamW in the first stage; it ends at half of that, from which the second falls to
            nothing.
        validation: faces.
        seed: of the order and of the disturbances.
    """

    def __init__(
        self,
        encoder: FaceEncoder,
        generator: MobileStyleGAN,
        pairs: Pairs,
        photos: Tensor | None = None,
        *,
        pair_steps: int,
        photo_steps: int,
        pair_batch: int = 64,
        photo_batch: int = 16,
        lr: float = 1e-3,
        validation: int = 16,
        seed: int = 1,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.frozen = (generator,)  # a tuple: it is no part of what is trained and saved
        self.pairs, self.photos = pairs, photos
        self.pair_steps, self.photo_steps = pair_steps, photo_steps
        self.pair_batch, self.photo_batch = pair_batch, photo_batch
        self.lr, self.validation, self.seed = lr, validation, seed
        self.ranks = ALONE

    def on_fit_start(self) -> None:
        """Put the frozen networks on the device of the encoder, and learn which rank this is."""
        self.ranks = Ranks(self.trainer.global_rank, self.trainer.world_size)
        self.frozen[0].to(self.device)
        self.encoder.frozen[0].to(self.device)

    def training_step(self, batch: int, batch_idx: int) -> Tensor:
        """The loss of this rank's samples of the step; the mean over ranks is that of all samples."""
        step = self.global_step
        loss = self.pair_step(step) if step < self.pair_steps else self.photo_step(step - self.pair_steps)
        self.log("train/loss", loss, prog_bar=True, sync_dist=True, batch_size=1)
        return loss

    # ------------------------------------------------------------------ what a step reads

    def drawn(self, step: int, batch: int, count: int, stream: int) -> tuple[Tensor, Tensor]:
        """This rank's rows of a step, and their places in the stream: each epoch has an order of its own."""
        places = np.arange(step * batch + self.ranks.rank, (step + 1) * batch, self.ranks.size)
        rows = np.empty_like(places)
        for epoch in np.unique(places // count):
            order = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, stream, int(epoch), 7]))
            here = places // count == epoch
            rows[here] = order.permutation(count)[places[here] % count]
        return torch.from_numpy(rows), torch.from_numpy(places)

    def drawn_pairs(self, step: int, batch: int, stream: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Images (n, 3, 128, 128) in [-1, 1], codes, embeddings, and places in the stream."""
        rows, places = self.drawn(step, batch, len(self.pairs[0]) - self.validation, stream)
        images, ws, identity = (part[rows].to(self.device).float() for part in self.pairs)
        return images / 127.5 - 1, ws, identity, places

    # ------------------------------------------------------------------ losses

    def code_error(self, a: Tensor, offsets: Tensor, ws: Tensor) -> Tensor:
        """Weighted squared error of principal coordinates, relative to their variance: (N,)."""
        root = self.encoder.root
        variance = root.square().sum(1)
        wanted = (ws - self.encoder.mean) @ (root / variance[:, None]).mT
        given = a[:, None] + F.pad(offsets, (0, a.shape[1] - offsets.shape[2]))
        weight = variance**EMPHASIS
        return ((given - wanted).square() @ (weight / weight.sum())).mean(1)

    def pair_step(self, step: int) -> Tensor:
        """Known codes from disturbed images."""
        images, ws, identity, places = self.drawn_pairs(step, self.pair_batch, 0)
        draws = torch.from_numpy(uniforms(self.seed, 1, places, 24)).to(images)
        noise = sample_z(places.tolist(), identity.shape[1], seed=self.seed + 1) if DOUBT else None
        if noise is not None:
            identity = F.normalize(identity + DOUBT * F.normalize(noise.to(identity), dim=1), dim=1)
        return self.code_error(*self.coordinates(disturbed(images, draws), identity), ws).mean()

    def photo_step(self, step: int) -> Tensor:
        """What the codes look like, of photographs and of pairs, and the known codes of the latter."""
        half = self.photo_batch // 2 if self.photos is not None else self.photo_batch
        images, ws, _, places = self.drawn_pairs(step, half, 1)
        mask = torch.ones_like(images[:, :1])
        if self.photos is not None:
            rows, others = self.drawn(step, self.photo_batch - half, len(self.photos) - self.validation, 2)
            photos = self.photos[rows].to(self.device).float()
            images = torch.cat([images, photos[:, :3] / 127.5 - 1])
            mask = torch.cat([mask, photos[:, 3:] / 255])
            places = torch.cat([places, others])
        draws = torch.from_numpy(uniforms(self.seed, 2, places, 24)).to(images)
        draws[: len(ws), 3] = 1  # no mirror where the code is known
        images, mask = jittered(images, mask, draws)
        identity, wanted = self.seen(images)
        a, offsets = self.coordinates(images, identity)
        result = self.synthesised(a, offsets)
        given_identity, given = self.seen(result)
        alike = 1 - (identity * given_identity).sum(1)
        features = torch.stack([feature_distance(g, w) for g, w in zip(given, wanted, strict=True)]).mean(0)
        pixels = pixel_distance(result, images, mask)
        known = self.code_error(a[: len(ws)], offsets[: len(ws)], ws).mean()
        penalty = PENALTY_A * a.square().mean() + PENALTY_OFFSETS * offsets.square().mean()
        self.log("train/alike", alike.mean(), prog_bar=True, sync_dist=True, batch_size=1)
        self.log("train/pixels", pixels.mean(), prog_bar=True, sync_dist=True, batch_size=1)
        self.log("train/features", features.mean(), prog_bar=True, sync_dist=True, batch_size=1)
        image_loss = (IDENTITY * alike + FEATURES * features + PIXELS * pixels).mean()
        return torch.as_tensor(image_loss + CODE * known + penalty)

    def coordinates(self, images: Tensor, identity: Tensor) -> tuple[Tensor, Tensor]:
        """Those of the encoder, computed in bfloat16 where the generator is; float32."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.frozen[0].const.dtype == torch.bfloat16):
            a, offsets = self.encoder.coordinates(images, identity)
        return a.float(), offsets.float()

    def seen(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """SFace's embeddings (N, 128) and features of the face."""
        network = self.encoder.frozen[0]
        found = network.trunk(face_part(images), 13)
        return F.normalize(network.last(found[-1].flatten(1)), dim=1), found[:3]

    def synthesised(self, a: Tensor, offsets: Tensor) -> Tensor:
        """Preview images (N, 3, 128, 128) of codes."""
        return self.frozen[0].synthesis(full_ws(self.encoder.codes(a, offsets)), 128).float()

    # ------------------------------------------------------------------ validation and optimisation

    @torch.no_grad()
    def validation_step(self, batch: int, batch_idx: int) -> None:
        """Log the distance by SFace and the PSNR of faces that were kept apart: generated ones, photographs."""
        apart = {"faces": self.pairs[0][-self.validation :]}
        if self.photos is not None:
            apart["photos"] = self.photos[-self.validation :, :3]
        for name, stored in apart.items():
            images = stored.to(self.device).float() / 127.5 - 1
            identity = self.encoder.embed(images)
            result = self.synthesised(*self.encoder.coordinates(images, identity)).clamp(-1, 1)
            distance = 1 - (identity * self.encoder.embed(result)).sum(1).mean()
            psnr = 10 * torch.log10(4 / F.mse_loss(result, images))
            self.log(f"val/{name}_distance", distance, prog_bar=True, batch_size=1, sync_dist=True)
            self.log(f"val/{name}_psnr", psnr, prog_bar=True, batch_size=1, sync_dist=True)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        optimizer = torch.optim.AdamW(self.encoder.parameters(), lr=self.lr, weight_decay=1e-3, betas=(0.9, 0.99))
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def rate(self, step: int) -> float:
        """Share of the peak learning rate at a step: up in 100 steps, by cosines to 1/2 and then to 0."""
        if step < self.pair_steps:
            part = step / self.pair_steps
            return float(min(1, (step + 1) / 100) * (3 + np.cos(np.pi * part)) / 4)
        part = min(1, (step - self.pair_steps) / max(1, self.photo_steps))
        return float(min(1, (step - self.pair_steps + 1) / 50) * (1 + np.cos(np.pi * part)) / 4)


def jittered(images: Tensor, mask: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
    """A mirror and small errors of the alignment, for images (N, 3, H, W) and masks (N, 1, H, W) alike."""
    grid = F.affine_grid(geometry(draws, 0.2), [len(images), 3, *images.shape[2:]], align_corners=False)
    both = F.grid_sample(torch.cat([images, mask], 1), grid, padding_mode="reflection", align_corners=False)
    return both[:, :3], both[:, 3:]


def disturbed(images: Tensor, draws: Tensor) -> Tensor:
    """What photographs have and previews have not: misalignment, blur, odd colours, noise, JPEG.

    Args:
        images: (N, 3, H, W) in [-1, 1].
        draws: (N, 24), uniform in [0, 1).
    """
    still = draws.clone()
    still[:, 3] = 1  # no mirror: the code would be another
    signed = draws * 2 - 1
    grid = F.affine_grid(geometry(still, 0.2), list(images.shape), align_corners=False)
    x = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    x = soften(x, 0.8 * (signed[:, 6] + 0.2) * (draws[:, 7] < 0.5))
    x = recolour(x, 0.35 * signed[:, 8:14], greyscale=draws[:, 14] < 0.03)
    x = add_noise(x, 0.06 * draws[:, 15] ** 2 * (draws[:, 16] < 0.4), draws[:, 17:20])
    pressed = torch.nonzero(draws[:, 20] < 0.2).flatten()
    if len(pressed):
        x = x.index_copy(0, pressed, jpeg(x[pressed], 40 + 50 * draws[pressed, 21]))
    return x.clamp(-1, 1)


def feature_distance(given: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared distance of features (N, C, H, W) of unit length at each pixel: (N,)."""
    return (F.normalize(given, dim=1) - F.normalize(wanted, dim=1)).square().sum(1).mean((1, 2))


def pixel_distance(given: Tensor, wanted: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute difference at 64² and at 16², where the mask (N, 1, H, W) says that there is a photograph: (N,)."""
    total = given.new_zeros(len(given))
    for factor in (2, 8):
        g, w, m = (F.avg_pool2d(part, factor) for part in (given, wanted, mask))
        total = total + ((g - w).abs() * m).sum((1, 2, 3)) / (3 * m.sum((1, 2, 3))).clamp_min(1)
    return total


def new_encoder(
    generator: MobileStyleGAN, scorer: FacialAttributeScorer | None, *, seed: int, **options: Any
) -> FaceEncoder:
    """An encoder to train: statistics of W from the generator, its trunk that of a scorer.

    Args:
        generator: in float32.
        scorer: with the backbone ``fine``; ``None``: from nothing.
        seed: of the weights and of the codes.
        options: of :class:`FaceEncoder`.
    """
    pl.seed_everything(seed, verbose=False)
    encoder = FaceEncoder(**options)
    with torch.no_grad():
        w = torch.cat(
            [generator.mapping(part) for part in torch.split(sample_z(range(STATISTICS), 512, seed=seed), 256)]
        )
    encoder.take_statistics(generator.w_mean, torch.cov(w.double().mT))
    if scorer is not None:
        take_trunk(encoder, scorer.backbone)
    return encoder


def take_trunk(encoder: FaceEncoder, backbone: nn.Module) -> None:
    """Copy the layers of a scorer's backbone ``fine``."""
    split = len(encoder.trunk)
    for name, value in cast("Mapping[str, Tensor]", backbone.state_dict()).items():
        number, _, rest = name.partition(".")
        part = encoder.trunk if int(number) < split else encoder.last_stage
        place = int(number) - (0 if int(number) < split else split)
        part.state_dict()[f"{place}.{rest}"].copy_(value)
