"""How scores answer to the code: gradients through the generator, and the metric of the least change outside the face.

A hyperplane fitted on samples says which codes have an attribute; what else those faces have in common leaks into its
normal. The gradient of the score with respect to the code, the mean over faces, says what changes the attribute in a
face: it needs some dozens of faces, tells the rows of W+ apart, and an edit along it reaches the score with a shorter
step. The metric ``image`` is ``M = (D⁻¹ + β E[uuᵀ])⁻¹``. D is Σ^½ for each row of W+, and a share of it between rows,
which in samples are alike. The probes u are gradients of random sums of the pixels outside the face (a pullback of the
image's metric; compare Shao et al. 2018, arXiv 1711.08014), so that shifts avoid what changes backgrounds.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ifgan_pl import functional
from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.micro_batches import map_micro_batches
from ifgan_pl.core.progress import CountBar
from ifgan_pl.generators.base import Generator
from ifgan_pl.generators.sampling import native_resolution

FACE = (0.5, 0.53, 0.3125, 0.39)
"""Centre (x, y) and semi-axes of an ellipse that holds face and hair of an aligned image, in sides of the image."""
CELL = 32
"""Side of the image whose pixels the probes sum up: what is finer is not seen as another background."""
PROBES = 1
"""Of a face."""
WEIGHT = 0.05
"""Of the change outside the face, per that of the code, when both are measured on shifts of W drawn from Σ^½."""
TIED = 0.25
"""Covariance between rows of W+, of that within one. By eye: 0 lets frames of glasses fall apart, 1 blurs beards."""
AT_ONCE = 16
"""Faces between two updates of the progress bar."""


def score_gradients(
    generator: Generator,
    scorer: Callable[[Tensor], Tensor],
    codes: Tensor,
    *,
    columns: Sequence[int],
    space: str,
    truncation: float = 1.0,
    resolution: int | None = None,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """Mean gradients of scores, and probes of what changes outside the face.

    Args:
        generator, scorer: differentiable: images (n, 3, H, W) -> scores (n, k).
        codes: (N, d), in the space that synthesis receives; the images are those of ``resolution``.
        columns: the scores to look at, m of them.
        space: ``w``, whose gradients are those of each of the ``num_ws`` rows of W+, or ``z``, of one row.
        truncation: psi, of Z codes of a family that has W.
        seed: of the probes.

    Returns:
        (m, rows, d) and (N · PROBES, rows, d) float64.

    Raises:
        UserError: the scorer cannot be differentiated.
    """
    native, pool = native_resolution(generator, resolution)

    def images(rows: Tensor) -> Tensor:
        if space == "z":
            z = rows[:, 0]
            inner = z if generator.w_mean is None else generator.truncate(generator.mapping(z), truncation)
            found = generator.synthesis(inner, native)
        else:
            found = generator.synthesis(rows, native)
        return F.avg_pool2d(found.float(), pool) if pool > 1 else found.float()

    def look(places: Tensor) -> Tensor:
        start = codes[places][:, None].expand(-1, 1 if space == "z" else generator.num_ws, -1)
        with torch.enable_grad():
            rows = start.detach().clone().requires_grad_()
            seen = images(rows)
            scores = scorer(seen)
            if not scores.requires_grad:
                raise UserError("the scorer cannot be differentiated: it must be made of PyTorch's operations")
            sums = [scores[:, k].sum() for k in columns]
            small = F.adaptive_avg_pool2d(seen, min(CELL, seen.shape[-1]))
            draws = [noise(int(place), small.shape[-1], seed) for place in places]
            weights = outside(small.shape[-1]) * torch.from_numpy(np.stack(draws))
            sums += [(small * weights[:, j].to(small)).sum() for j in range(PROBES)]
            found = [torch.autograd.grad(total, rows, retain_graph=True)[0] for total in sums]
        return torch.stack(found, 1)

    pieces = []
    with torch.no_grad(), CountBar("gradients", len(codes)) as bar:
        for part in torch.split(torch.arange(len(codes), device=codes.device), AT_ONCE):
            pieces.append(map_micro_batches(look, part, side=native).double().cpu())
            bar.advance(len(part))
    found = torch.cat(pieces)
    return found[:, : len(columns)].mean(0), found[:, len(columns) :].flatten(0, 1)


def noise(place: int, side: int, seed: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    """Weights of the pixels (PROBES, 3, side, side) of one face: a function of its place and the seed alone."""
    generator = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, place, 1]))
    return generator.standard_normal((PROBES, 3, side, side), np.float32)


def outside(side: int) -> Tensor:
    """1 for pixels outside the face of an aligned image, 0 inside: (side, side)."""
    at = (torch.arange(side) + 0.5) / side
    x, y, width, height = FACE
    return (((at[None] - x) / width) ** 2 + ((at[:, None] - y) / height) ** 2 > 1).float()


def spread(gradients: Tensor, probes: Tensor, root: Tensor | None) -> Tensor:
    """Gradients times the metric ``image``, without ever holding it (Woodbury's identity).

    Args:
        gradients: (m, rows, d).
        probes: (K, rows, d).
        root: Σ^½ (d, d); ``None``: the identity, as in Z.

    Returns:
        (m, rows, d) float64.
    """

    def times_root(part: Tensor) -> Tensor:
        return part if root is None else part @ root.double()

    def times_d(part: Tensor) -> Tensor:
        return times_root((1 - TIED) * part + TIED * part.sum(1, keepdim=True))

    gradients, probes = gradients.double(), probes.double()
    alike = probes.sum(1)  # of shifts that are the same in all rows
    size = float((alike * times_root(alike)).sum() / len(probes))
    u = probes * (WEIGHT * probes.shape[2] / (size * len(probes))) ** 0.5
    near, far = times_d(gradients), times_d(u).flatten(1)
    inner = torch.eye(len(u), dtype=torch.float64) + u.flatten(1) @ far.mT
    taken = torch.linalg.solve(inner, u.flatten(1) @ near.flatten(1).mT)  # (K, m)
    answered: Tensor = near - (taken.mT @ far).view_as(near)
    return answered


def with_gradients(
    boundary: LinearBoundary, gradients: Tensor, probes: Tensor, *, names: Sequence[str]
) -> LinearBoundary:
    """The boundary with the gradients of some of its attributes, in the order of ``names``; others follow normals."""
    root = None if boundary.space == "z" or boundary.covariance is None else boundary.covariance.double().cpu()
    answered = spread(gradients, probes, None if root is None else functional.matrix_sqrt(root))
    rows = [boundary.index(name) for name in names]
    parts = {"gradients": gradients, "spread": answered}
    whole = {name: torch.full((len(boundary.attributes), *part.shape[1:]), torch.nan) for name, part in parts.items()}
    for name, part in parts.items():
        whole[name][rows] = part.float()
    return boundary.replaced(**whole, response=None)
