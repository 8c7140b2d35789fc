"""The attribute scorer f: X -> R^m that InterFaceGAN presupposes (CVPR 2020, sec. 4.1) and never released."""

import math
from collections.abc import Mapping, Sequence

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from ifgan_pl.images.read import to_float, to_square
from ifgan_pl.scorer.augment import augment
from ifgan_pl.scorer.backbones import build_backbone
from ifgan_pl.scorer.calibration import calibrate
from ifgan_pl.scorer.labels import label_statistics, moved_labels
from ifgan_pl.scorer.maps import map_width, seen_with_maps
from ifgan_pl.scorer.metrics import AttributeMetrics

KINDS = ("binary", "continuous")


class FacialAttributeScorer(pl.LightningModule):
    """Multi-task scores of facial attributes.

    Batches are dicts of ``image`` (N, 3, H, W) uint8 or float in [-1, 1]; ``target`` (N, m) float32 in the data's own
    units (binary: a probability in [0, 1]), NaN where a label is missing; ``index`` (N,) int64, -1 for a row that only
    pads.

    ``trainer.fit`` takes means and frequencies of the labels from ``train_targets()`` of its data module; with plain
    loaders they are given to :meth:`take_label_statistics` before. Averages of the weights, early stopping and
    checkpoints are callbacks of the Trainer, see :func:`ifgan_pl.scorer.training.scorer_trainer`; pretrained weights
    and ``torch.compile`` are up to :func:`ifgan_pl.scorer.training.new_scorer`.

    Args:
        attributes: name -> ``binary`` or ``continuous``, in the order of the scores.
        backbone: ``small``, ``fine`` or a torchvision classifier such as ``resnet50``.
        image_size: side in pixels at which the network looks.
        odd: continuous attributes that change sign under a mirror.
        on_maps: so many of the last attributes are scored from the maps of the last two resolutions too
            (:func:`ifgan_pl.scorer.maps.seen_with_maps`), for which a mirror must change nothing.
        lr: peak learning rate of AdamW.
        weight_decay: of AdamW, on matrices and kernels only.
        warmup: share of the steps in which the rate rises linearly; then it falls to 0 along a cosine.
        label_smoothing: of binary targets, in [0, 1).
        balance: weight of the rarer class of a binary attribute, as (frequency ratio)**balance: 0 leaves classes as
            they are, 1 gives both the same total weight. Calibration undoes the shift of the scores.
        augmentation: strength of the augmentation in training; 0: none.
        channels_last: memory format of images and kernels.
        seed: of the augmentation and of whatever the network draws in training.
    """

    temperature: Tensor
    offset: Tensor
    mean: Tensor
    sd: Tensor
    positives: Tensor
    binary: Tensor
    mirror_sign: Tensor

    def __init__(
        self,
        attributes: Mapping[str, str],
        *,
        backbone: str = "small",
        image_size: int = 128,
        odd: Sequence[str] = ("yaw", "pose"),
        on_maps: int = 0,
        lr: float = 2e-3,
        weight_decay: float = 0.05,
        warmup: float = 0.05,
        label_smoothing: float = 0.0,
        balance: float = 0.0,
        augmentation: float = 1.0,
        channels_last: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        attributes, odd = dict(attributes), list(odd)
        wrong = {name: kind for name, kind in attributes.items() if kind not in KINDS}
        if wrong or not attributes:
            raise ValueError(f"attributes: name -> one of {KINDS} expected, got {wrong or attributes}")
        if image_size % 8:
            raise ValueError(f"image_size: a multiple of 8 expected, got {image_size}")
        self.save_hyperparameters()
        self.attributes = tuple(attributes)
        self.kinds = tuple(attributes.values())
        self.image_size = image_size
        m = len(attributes)
        self.backbone, features = build_backbone(backbone)
        self.head = nn.Linear(features, m - on_maps)
        self.map_head = nn.Linear(map_width(self.backbone, image_size), on_maps) if on_maps else None
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("temperature", torch.ones(m))
        self.register_buffer("offset", torch.zeros(m))
        binary = torch.tensor([kind == "binary" for kind in self.kinds])
        self.register_buffer("mean", torch.where(binary, 0.0, torch.nan))  # unknown before the labels are
        self.register_buffer("sd", torch.where(binary, 1.0, torch.nan))  # its name in checkpoints
        self.register_buffer("positives", torch.full((m,), torch.nan))
        self.register_buffer("binary", binary, persistent=False)
        sign = torch.tensor([-1.0 if name in odd else 1.0 for name in self.attributes])
        self.register_buffer("mirror_sign", sign, persistent=False)
        self.evaluated: tuple[Tensor, Tensor] | None = None
        """Calibrated scores and labels (N, m) of the last validation or test, of all ranks."""
        self.metrics = nn.ModuleDict({stage: AttributeMetrics(attributes) for stage in ("val", "test")})
        if channels_last:
            self.backbone.to(memory_format=torch.channels_last)

    # ------------------------------------------------------------------ scores

    def raw_scores(self, images: Tensor) -> Tensor:
        """Uncalibrated scores: (N, 3, size, size) float in [-1, 1] -> (N, m)."""
        if self.map_head is None:
            scores: Tensor = self.head(self.backbone(self.laid_out(images)))
            return scores.float()
        features, rows = seen_with_maps(self.backbone, self.laid_out(images))
        return torch.cat([self.head(features), self.map_head(rows)], 1).float()

    def laid_out(self, images: Tensor) -> Tensor:
        """Images in the memory format of the kernels."""
        return images.contiguous(memory_format=torch.channels_last) if self.hparams["channels_last"] else images

    def forward(self, images: Tensor) -> Tensor:
        """Calibrated scores.

        Args:
            images: (N, 3, H, W) in [-1, 1] (overshoot is cut off), any size; the centre square is looked at.

        Returns:
            (N, m): the logit of the probability for a binary attribute, a standardised value for a continuous one.
        """
        return (self.raw_scores(self.as_seen(images)) + self.offset) / self.temperature

    def as_seen(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) of any size -> (N, 3, size, size) in [-1, 1]."""
        if images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"images: (N, 3, H, W) expected, got {tuple(images.shape)}")
        return to_square(images.to(self.head.weight).clamp(-1, 1), self.image_size)

    def features(self, images: Tensor) -> Tensor:
        """What the last layer sees of images, as :meth:`forward` takes them: (N, F)."""
        features: Tensor = self.backbone(self.laid_out(self.as_seen(images)))
        return features

    def map_rows(self, images: Tensor) -> Tensor:
        """What heads on maps see of images, as :meth:`forward` takes them: (N, D)."""
        return seen_with_maps(self.backbone, self.laid_out(self.as_seen(images)))[1]

    def to_units(self, scores: Tensor) -> Tensor:
        """Calibrated scores (N, m) -> probabilities, and years, steps or degrees."""
        return torch.where(self.binary, torch.sigmoid(scores), scores * self.sd + self.mean)

    def to_scores(self, units: Tensor) -> Tensor:
        """Inverse of :meth:`to_units`; a probability of 0 or 1 gives ∓∞."""
        return torch.where(self.binary, torch.logit(units), (units - self.mean) / self.sd)

    @torch.no_grad()
    def predict(self, images: Tensor) -> dict[str, Tensor]:
        """Name -> (N,): probability of a binary attribute, value of a continuous one in its units."""
        training = self.training
        self.eval()
        units = self.to_units(self(images.to(self.device)))
        self.train(training)
        return dict(zip(self.attributes, units.unbind(1), strict=True))

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Scores of a batch of a data module.

        Returns:
            ``index`` (n,) int64, rows of the data, and ``scores`` (n, m) float32, calibrated: :meth:`to_units` turns
            them into probabilities and values. Rows that only pad are left out.
        """
        index = batch["index"]
        return {"index": index[index >= 0], "scores": self(to_float(batch["image"]))[index >= 0]}

    # ---------------------------------------------------------------- training

    def setup(self, stage: str) -> None:
        """Before a fit, take the statistics of the labels from the data module.

        Raises:
            UserError: an attribute has no label.
            ValueError: there is no data module that has ``train_targets()``, and no statistics were given before.
        """
        if stage != "fit":
            return
        train_targets = getattr(getattr(self.trainer, "datamodule", None), "train_targets", None)
        if train_targets is not None:
            self.take_label_statistics(train_targets())
        elif self.positives.isnan().any():
            raise ValueError(
                "the scorer does not know its labels' means and frequencies: fit with a data module that has "
                "train_targets() -> (N, m), or call scorer.take_label_statistics(targets) before trainer.fit"
            )

    @torch.no_grad()
    def take_label_statistics(self, targets: Tensor) -> None:
        """Set frequencies, means and standard deviations to those of the training labels.

        Args:
            targets: (N, m) in the data's own units, NaN where missing.

        Raises:
            UserError: an attribute has no label.
        """
        mean, std = (value.to(self.mean.device) for value in label_statistics(targets, self.attributes))
        self.positives.copy_(mean.clamp(1e-4, 1 - 1e-4))
        self.mean.copy_(torch.where(self.binary, 0.0, mean))
        self.sd.copy_(torch.where(self.binary | (std == 0), 1.0, std))
        # weighted cross-entropy learns the true logit plus the logarithm of the weights' ratio
        odds = torch.log(self.positives) - torch.log1p(-self.positives)
        self.offset.copy_(torch.where(self.binary, self.hparams["balance"] * odds, 0.0))

    def loss(self, scores: Tensor, target: Tensor) -> Tensor:
        """Mean over known labels of cross-entropy (binary) and Huber's loss of the standardised value (continuous).

        Args:
            scores: (N, m) uncalibrated.
            target: (N, m) in units, NaN where missing.
        """
        known = ~target.isnan()
        target = target.nan_to_num()
        smoothing = self.hparams["label_smoothing"]
        label = (target * (1 - smoothing) + smoothing / 2).clamp(0, 1)
        # normalised so that the mean weight of an attribute stays 1
        up, down = (1 - self.positives) ** self.hparams["balance"], self.positives ** self.hparams["balance"]
        total = up * self.positives + down * (1 - self.positives)
        weight = (target * up + (1 - target) * down) / total
        binary = F.binary_cross_entropy_with_logits(scores, label, reduction="none") * weight
        continuous = F.smooth_l1_loss(scores, (target - self.mean) / self.sd, reduction="none")
        each = torch.where(self.binary, binary, continuous)
        return each.masked_fill(~known, 0).sum() / known.sum().clamp(min=1)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Augment, score, compare. What the network draws is a function of (seed, epoch, batch, rank)."""
        seed, strength = self.hparams["seed"], self.hparams["augmentation"]
        key = (seed * 1_000_003 + self.current_epoch) * 1_000_003 + batch_idx
        torch.manual_seed((key * 8191 + self.global_rank) % 2**63)
        images, target = batch["image"], batch["target"]
        size = self.image_size
        if strength:
            images, theta = augment(
                images, batch["index"], seed=seed, epoch=self.current_epoch, size=size, strength=strength
            )
            target = moved_labels(target, theta, self.attributes, self.mirror_sign)
        else:
            images = to_square(to_float(images), size)
        loss = self.loss(self.raw_scores(images), target)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Collect the scores of the set-aside rows."""
        self.evaluate("val", batch)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Collect the scores of the rows that only report."""
        self.evaluate("test", batch)

    def evaluate(self, stage: str, batch: dict[str, Tensor]) -> None:
        """Add a batch to the metrics of a stage; a row without any label (padding under DDP) counts nowhere."""
        scores = self(to_float(batch["image"]))
        metrics = self.metrics[stage]
        assert isinstance(metrics, AttributeMetrics)
        metrics.update(self.to_units(scores.double()), batch["target"])

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the set-aside rows."""
        self.log_metrics("val")

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the rows that only report."""
        self.log_metrics("test")

    def log_metrics(self, stage: str) -> None:
        """Log ``stage/metric/attribute`` and ``stage/loss``, equal on all ranks, and forget the stage's samples."""
        metrics = self.metrics[stage]
        assert isinstance(metrics, AttributeMetrics)
        values = {f"{stage}/{name}": value for name, value in metrics.compute().items()}
        with metrics.sync_context():
            units, target = metrics.gathered()
        metrics.reset()
        scores = self.to_scores(torch.where(self.binary, units.clamp(1e-12, 1 - 1e-12), units))
        values[f"{stage}/loss"] = self.loss(scores * self.temperature - self.offset, target)
        self.log_dict(values)
        self.evaluated = scores, target

    def calibrate(self, scores: Tensor, target: Tensor) -> None:
        """Set each binary attribute's temperature and offset by Platt's method on held-out labels.

        Args:
            scores: (N, m) calibrated so far, on any device.
            target: (N, m) labels, NaN where missing.
        """
        temperature, offset = calibrate(self.temperature, self.offset, scores, target, self.binary)
        self.temperature.copy_(temperature)
        self.offset.copy_(offset)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW under a linear warm-up and a cosine, stepped every optimiser step."""
        matrices = [p for p in self.parameters() if p.ndim > 1]
        vectors = [p for p in self.parameters() if p.ndim <= 1]
        groups = [
            {"params": matrices, "weight_decay": self.hparams["weight_decay"]},
            {"params": vectors, "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.hparams["lr"])
        steps = max(1, int(self.trainer.estimated_stepping_batches))
        warm = max(1, round(self.hparams["warmup"] * steps))

        def rate(step: int) -> float:
            fall = min(1.0, (step - warm) / max(1, steps - warm))
            return (step + 1) / warm if step < warm else 0.5 + 0.5 * math.cos(math.pi * fall)

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
