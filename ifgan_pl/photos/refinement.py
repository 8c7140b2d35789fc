"""Refinement by gradient: the code whose image is most like a photograph, and then the weights around that code.

Codes are ``start + (a + δ_l) Σ^½`` for row l of W+, Σ the covariance of W. ``a`` alone is fitted first, then the
offsets δ_l as well; penalties on both keep the code where edits work. Most steps look at the generator's cheap preview;
the last ones at its full image, for what the preview does not see (the rows of W+ that only colour and texture read).

The weights are then tuned around the code, as by Roich et al. 2021 (arXiv 2106.05744), see
:mod:`ifgan_pl.photos.tuning`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ifgan_pl.generators.base import Generator
from ifgan_pl.generators.sampling import device_of, sample_z
from ifgan_pl.photos.identity import SFace, face_part
from ifgan_pl.photos.tuning import Synthesis, factors_of, initial_tuning, tunable

SAMPLES = 4096
"""Codes from which the mean and the covariance of W are estimated."""
SMALL, MEDIUM = 128, 256
"""Sides at which previews and full images are compared with the photograph."""
PIXELS, FEATURES, IDENTITY = 4.0, 1.0, 1.0
"""Weights of the squared difference of pixels, of the features, and of the cosine between embeddings."""
PENALTY, LAYER_PENALTY = 4e-4, 1e-3
"""On the mean squares of ``a`` and of ``δ``, in standard deviations of W."""
RATES = {"w": 0.08, "layers": 0.05, "full": 0.02, "weights": 3e-3, "weights_full": 2e-3}
"""Adam's learning rates in the phases of :class:`Steps`."""
Progress = Callable[[str, int, int], None]
"""Called after each step: phase, steps that it has done, steps that it has."""


@dataclass(frozen=True)
class Steps:
    """How many steps to take.

    Attributes:
        w: of one offset for all rows of W+, on the preview; not taken from an encoder's code.
        layers: of an offset for each row, on the preview.
        full: of the same, on the full image.
        weights: of changes to the weights that the preview sees, on the preview.
        weights_full: of changes to all weights, on the full image.
    """

    w: int = 30
    layers: int = 45
    full: int = 5
    weights: int = 30
    weights_full: int = 6


@dataclass(frozen=True, eq=False)
class Prior:
    """Mean (w_dim,) and symmetric root of the covariance (w_dim, w_dim) of a generator's W, float32."""

    mean: Tensor
    root: Tensor


def prior_of(generator: Generator) -> Prior:
    """Statistics of W, from samples of stream 0."""
    with torch.no_grad():
        w = generator.mapping(sample_z(range(SAMPLES), generator.z_dim).to(device_of(generator))).double().cpu()
    mean = w.mean(0)
    values, vectors = torch.linalg.eigh((w - mean).mT @ (w - mean) / (len(w) - 1))
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.mT
    w_mean = generator.w_mean
    return Prior((mean if w_mean is None else w_mean.cpu()).float(), root.float())


class Comparison:
    """How unlike images are to photographs, for a fixed set of these.

    Args:
        network: what sees features and identity, on the photographs' device.
        photos: (N, 3, S, S) in [-1, 1], FFHQ-aligned.
    """

    def __init__(self, network: SFace, photos: Tensor) -> None:
        self.network, self.photos = network, photos
        with torch.no_grad():
            self.features = network.features(photos_at(photos, SMALL))
            self.scales = [f.square().mean((1, 2, 3), keepdim=True) for f in self.features]
            self.embeddings = network.embed(face_part(photos))

    def __call__(self, images: Tensor) -> Tensor:
        """Images (N, 3, S, S) -> losses (N,)."""
        loss = PIXELS * (images - self.photos).square().mean((1, 2, 3))
        for found, wanted, scale in zip(
            self.network.features(photos_at(images, SMALL)), self.features, self.scales, strict=True
        ):
            loss = loss + FEATURES / len(self.features) * ((found - wanted).square() / scale).mean((1, 2, 3))
        cosine = (self.network.embed(face_part(images)) * self.embeddings).sum(1)
        return loss + IDENTITY * (1 - cosine)


def photos_at(images: Tensor, size: int) -> Tensor:
    """Images (N, 3, S, S) at another side, averaged where that is smaller."""
    if images.shape[-1] == size:
        return images
    if images.shape[-1] % size == 0:
        return F.avg_pool2d(images, images.shape[-1] // size)
    return F.interpolate(images, (size, size), mode="bilinear", align_corners=False, antialias=True)


def small_image(generator: Generator, ws: Tensor) -> Tensor:
    """The cheapest image of W+ codes (N, num_ws, w_dim) that has at least :data:`SMALL` pixels, at that size."""
    fitting = [r for r in generator.resolutions if r >= SMALL]
    return photos_at(generator.synthesis(ws, fitting[0] if fitting else None).float(), SMALL)


def refine(
    generator: Generator,
    prior: Prior,
    network: SFace,
    start: Tensor,
    photos: Tensor,
    steps: Steps,
    progress: Progress | None = None,
) -> Tensor:
    """Codes whose images are like the photographs. Each is a function of its photograph and its start alone.

    Args:
        generator: frozen; one that has W+.
        prior: of this generator.
        network: on the generator's device.
        start: (N, num_ws, w_dim), e.g. of an encoder, or the mean code.
        photos: (N, 3, S, S) in [-1, 1], FFHQ-aligned, S a multiple of 256.
        steps: how many.
        progress: told of each step.

    Returns:
        (N, num_ws, w_dim) float32.
    """
    device = device_of(generator)
    root, start = prior.root.to(device), start.detach().to(device, torch.float32)
    common, layers = torch.zeros_like(start[:, :1]), torch.zeros_like(start)
    small, medium = (Comparison(network, photos_at(photos.to(device), size)) for size in (SMALL, MEDIUM))

    def code() -> Tensor:
        return start + (common + layers) @ root

    def full_image() -> Tensor:
        return photos_at(generator.synthesis(code()).float(), MEDIUM)

    def loss_of(phase: str) -> Tensor:
        loss = medium(full_image()) if phase == "full" else small(small_image(generator, code()))
        loss = loss + PENALTY * common.square().sum((1, 2)) / len(root)
        return loss + LAYER_PENALTY * layers.square().mean(1).sum(1) / len(root)

    for phase, free in {"w": [common], "layers": [common, layers], "full": [common, layers]}.items():
        descend(phase, free, getattr(steps, phase), partial(loss_of, phase), progress)
    return code().detach()


def tune(
    generator: Generator,
    network: SFace,
    codes: Tensor,
    photo: Tensor,
    steps: Steps,
    progress: Progress | None = None,
) -> dict[str, Tensor]:
    """Changes of the generator's weights by which the image of a code is more like the photograph.

    Args:
        generator: frozen; other families than ``ffhq-mobile`` are left as they are.
        network: on the generator's device.
        codes: (1, num_ws, w_dim), of :func:`refine`.
        photo: (1, 3, S, S) in [-1, 1].
        steps: ``weights`` and ``weights_full``.
        progress: told of each step.

    Returns:
        the changes by name, on the CPU, as :func:`ifgan_pl.photos.tuning.tuned` takes them; {} for no steps.
    """
    early, late = tunable(generator)
    if not early or steps.weights + steps.weights_full == 0:
        return {}
    photo = photo.to(codes)
    with torch.no_grad():  # the preview errs by itself: the weights need not mend that
        error = small_image(generator, codes) - photos_at(generator.synthesis(codes).float(), SMALL)
    small = Comparison(network, photos_at(photo, SMALL) + error)
    medium = Comparison(network, photos_at(photo, MEDIUM))
    assert isinstance(generator, nn.Module)
    synthesis, tuning = Synthesis(generator), initial_tuning(generator, [*early, *late])
    factors = {
        phase: factors_of(tuning, names) for phase, names in {"weights": early, "weights_full": [*early, *late]}.items()
    }

    def loss_of(phase: str) -> Tensor:
        if phase == "weights":
            return small(synthesis.tuned(tuning, codes, SMALL).float())
        image = synthesis.tuned(tuning, codes, None).float()
        fine = (image - photo).square().mean((1, 2, 3))  # without it, patterns arise that the average does not show
        return medium(photos_at(image, MEDIUM)) + PIXELS * fine

    for phase, free in factors.items():
        descend(phase, free, getattr(steps, phase), partial(loss_of, phase), progress)
    return {name: value.detach().cpu() for name, value in tuning.items()}


@torch.enable_grad()
def descend(
    phase: str, free: list[Tensor], count: int, loss_of: Callable[[], Tensor], progress: Progress | None
) -> None:
    """``count`` steps of Adam on tensors, in place; losses (N,) are summed: faces do not see each other."""
    for tensor in free:
        tensor.requires_grad_()
    optimiser = torch.optim.Adam(free, lr=RATES[phase], betas=(0.9, 0.99))
    for step in range(count):
        for group in optimiser.param_groups:  # a short rise, and a fall to a tenth
            group["lr"] = RATES[phase] * min((step + 1) / 3, 1 - 0.9 * step / count)
        for tensor, gradient in zip(free, torch.autograd.grad(loss_of().sum(), free), strict=True):
            tensor.grad = gradient
        optimiser.step()
        if progress is not None:
            progress(phase, step + 1, count)
