"""From an aligned face to a W+ code of ``ffhq-mobile`` in one pass: the encoder that ships."""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ifgan_pl.core.errors import UserError
from ifgan_pl.core.resources import find
from ifgan_pl.photos.identity import DIM, load_sface
from ifgan_pl.scorer.backbones import FineResNet

ENCODER = "encoder-faces"
"""Name of the shipped encoder."""
SIZE = 128
"""Side in pixels of the image that the network of its own looks at."""
NUM_WS = 16
"""Rows of the code."""
STAGES = 8
"""Children of the trunk before its last stage of two blocks: their output is 8² at 128 channels, the last one's 4²."""


class FaceEncoder(nn.Module):
    """Codes of faces: w̄ + Σ^½ (a + δ_l) for row l of W+.

    Two networks look: a residual one of its own at the whole image, and SFace, frozen and not part of the weights, at
    the face: whose it is. a has ``components`` coordinates along the principal axes of Σ, largest first, and each δ_l
    ``offset_components``. Rows from ``rows`` on repeat the one before: the preview, by which it is trained, does not
    show them.

    Args:
        components, offset_components: coordinates of a and of each δ_l.
        rows: that have a δ_l of their own.
        hidden: width of the two hidden layers.
    """

    mean: Tensor
    root: Tensor

    def __init__(
        self, *, components: int = 256, offset_components: int = 64, rows: int = 10, hidden: int = 512
    ) -> None:
        super().__init__()
        self.options = {
            "components": components,
            "offset_components": offset_components,
            "rows": rows,
            "hidden": hidden,
        }
        self.rows = rows
        layers = list(FineResNet().children())[:-2]  # without the mean over the image
        split = len(layers) - 2
        self.trunk, self.last_stage = nn.Sequential(*layers[:split]), nn.Sequential(*layers[split:])
        self.narrow8, self.narrow4 = nn.Conv2d(128, 16, 1), nn.Conv2d(256, 64, 1)
        self.norm = nn.LayerNorm(2 * 1024)
        self.mix = nn.Sequential(nn.Linear(2 * 1024 + DIM, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU())
        self.code = nn.Linear(hidden, components)
        self.offsets = nn.Linear(hidden, rows * offset_components)
        for layer in (self.code, self.offsets):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)
        self.register_buffer("mean", torch.zeros(512))
        self.register_buffer("root", torch.zeros(components, 512))
        self.to(memory_format=torch.channels_last)
        self.frozen = (load_sface(),)  # a tuple: its weights are not this module's
        self.train()

    def take_statistics(self, mean: Tensor, covariance: Tensor) -> None:
        """Take the mean (512,) and covariance (512, 512) of W."""
        values, vectors = torch.linalg.eigh(covariance.double())
        root = (vectors * values.clamp_min(0).sqrt()).flip(1).mT  # rows: principal axes times standard deviations
        axis = root.abs().argmax(1, keepdim=True)
        root = root * root.gather(1, axis).sign()  # eigenvectors have no sign of their own
        self.mean.copy_(mean)
        self.root.copy_(root[: len(self.root)])

    def train(self, mode: bool = True) -> "FaceEncoder":
        """As of any module, but normalisation keeps its statistics: results do not depend on the batch."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def embed(self, images: Tensor) -> Tensor:
        """Whose face it is: images (N, 3, H, W) in [-1, 1] -> unit embeddings (N, 128)."""
        sface = self.frozen[0].to(images.device)
        with torch.no_grad():
            return torch.as_tensor(sface(images.float()))

    def coordinates(self, images: Tensor, identity: Tensor) -> tuple[Tensor, Tensor]:
        """a and the δ_l.

        Args:
            images: (N, 3, 128, 128) in [-1, 1].
            identity: (N, 128), of :meth:`embed`.

        Returns:
            (N, components) and (N, rows, offset_components).
        """
        x = self.trunk(images.contiguous(memory_format=torch.channels_last))
        y = self.last_stage(x)
        seen = torch.cat([self.narrow8(x).flatten(1), self.narrow4(y).flatten(1)], 1)
        mixed = self.mix(torch.cat([self.norm(seen), identity * DIM**0.5], 1))
        return self.code(mixed), self.offsets(mixed).unflatten(1, (self.rows, -1))

    def codes(self, a: Tensor, offsets: Tensor) -> Tensor:
        """a (N, components), δ (N, rows, offset_components) -> ws (N, rows, 512)."""
        return self.mean + (a @ self.root)[:, None] + offsets @ self.root[: offsets.shape[2]]

    def forward(self, images: Tensor) -> Tensor:
        """Codes of FFHQ-aligned faces.

        Args:
            images: (N, 3, H, W) in [-1, 1], square, of 128 pixels or more; 256 show SFace more.

        Returns:
            ws (N, 16, 512) float32.
        """
        if images.ndim != 4 or images.shape[1] != 3 or images.shape[2] != images.shape[3]:
            raise ValueError(f"images: (N, 3, H, H) expected, got {tuple(images.shape)}")
        images = images.to(self.mean).clamp(-1, 1)
        identity = self.embed(images)
        if images.shape[-1] != SIZE:
            images = F.interpolate(images, (SIZE, SIZE), mode="bilinear", align_corners=False, antialias=True)
        ws = self.codes(*self.coordinates(images, identity)).float()
        return torch.cat([ws, ws[:, -1:].expand(-1, NUM_WS - self.rows, -1)], 1)


def encoder_state(encoder: FaceEncoder, provenance: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint holds: options, provenance, and the weights, matrices and kernels in float16."""
    weights = {
        name: value.detach().cpu().half() if value.ndim > 1 and name != "root" else value.detach().cpu()
        for name, value in encoder.state_dict().items()
    }
    return {"encoder": dict(encoder.options), "provenance": provenance, "state_dict": weights}


def is_encoder(path: Path) -> bool:
    """Whether a checkpoint, if it is one, calls itself an encoder's; nothing in the file can run code."""
    try:
        return "encoder" in torch.load(path, map_location="meta", weights_only=True, mmap=True)
    except Exception:  # unpickling raises its own; the reader of a scorer says what is wrong
        return False


def load_encoder(path: str | Path | None = None) -> FaceEncoder:
    """An encoder from its checkpoint, frozen, on the CPU; nothing in the file can run code.

    Args:
        path: a checkpoint, or the name of a shipped one; ``None``: ``encoder-faces``.

    Raises:
        UserError: the file is missing, or is no checkpoint of an encoder.
    """
    path = find(path or ENCODER, "checkpoints", (".ckpt",))
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        encoder = FaceEncoder(**state["encoder"])
        encoder.load_state_dict(state["state_dict"])
    except UserError:
        raise
    except Exception as error:  # unpickling, missing keys and wrong shapes each raise their own
        raise UserError(
            f"{path} is not an encoder's checkpoint ({(str(error).splitlines() or [type(error).__name__])[0]})"
        ) from None
    return encoder.requires_grad_(False).eval()
