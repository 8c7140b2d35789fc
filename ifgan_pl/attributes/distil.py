"""A scorer of images from heads that look at codes: what they say of many faces is learnt from the images of these."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ifgan_pl.attributes.faces import Faces
from ifgan_pl.attributes.head import FOLDS, Head, Quality, quality_of
from ifgan_pl.attributes.labels import Answers
from ifgan_pl.boundaries.solvers import logistic, ridge
from ifgan_pl.boundaries.targets import permutation
from ifgan_pl.core.errors import UserError
from ifgan_pl.core.files import json_digest, load_tensors, save_tensors
from ifgan_pl.core.micro_batches import map_micro_batches
from ifgan_pl.core.progress import CountBar
from ifgan_pl.core.resources import cache_dir
from ifgan_pl.generators import Generator
from ifgan_pl.generators.base import parameter_digest
from ifgan_pl.generators.sampling import sample_codes, synthesise
from ifgan_pl.scorer.calibration import platt
from ifgan_pl.scorer.module import FacialAttributeScorer

BLOCK = 256
"""Faces of a file of the cache."""
COMPONENTS = 1000
"""Principal components of what is seen that heads look at."""
PENALTY = 1e-4
"""Of the least squares, relative to the variance of what is seen."""
SURE, MOST = 3.0, 5.0
"""Logit that an answer counts as, and the largest that is learnt from."""
OWN = 0.5
"""Share of an answer beside what the head says of the same face."""
QUIET = 0.05
"""Columns whose standard deviation is less than this share of the mean one are not raised to the others' scale."""


@dataclass(frozen=True)
class View:
    """Principal components of rows.

    Attributes:
        mean, scale: (D,) of the columns.
        basis: (D, k).
    """

    mean: Tensor
    scale: Tensor
    basis: Tensor

    @classmethod
    def of(cls, rows: Tensor, components: int = COMPONENTS, seed: int = 0) -> "View":
        """Of rows (n, D)."""
        mean, std = rows.mean(0), rows.std(0)
        scale = std.clamp_min(QUIET * float(std.mean()))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            _, _, basis = torch.svd_lowrank((rows - mean) / scale, q=min(components, *rows.shape), niter=1)
        return cls(mean, scale, basis)

    def __call__(self, rows: Tensor) -> Tensor:
        """(n, D) -> (n, k) float64."""
        return (((rows - self.mean) / self.scale) @ self.basis).double()


def map_rows_of_samples(
    generator: Generator,
    scorer: FacialAttributeScorer,
    indices: Sequence[int],
    *,
    seed: int = 0,
    truncation: float = 0.7,
    space: str = "w",
) -> Tensor:
    """What heads on maps see of samples: (n, D) float16, computed once and kept in the cache.

    Args:
        generator, scorer: on one device.
        indices: numbers of the samples.
        seed, truncation, space: of their codes.
    """
    where = {"seed": seed, "space": space, "truncation": float(truncation)}
    resolution = generator.resolutions[0]
    inputs = {"generator": generator.fingerprint, "network": parameter_digest(scorer.backbone), **where}
    blocks = [list(indices[start : start + BLOCK]) for start in range(0, len(indices), BLOCK)]
    folder = cache_dir() / f"maps-{json_digest([inputs, resolution])[:16]}"
    paths = [folder / f"{json_digest(block)[:16]}.safetensors" for block in blocks]

    @torch.inference_mode()
    def look(codes: Tensor) -> Tensor:
        images = synthesise(generator, codes, space=space, truncation=truncation, resolution=resolution)
        return scorer.map_rows(images).half()

    missing = [(path, block) for path, block in zip(paths, blocks, strict=True) if not path.is_file()]
    if missing:
        with CountBar("images of faces", sum(len(block) for _, block in missing)) as bar:
            for path, block in missing:
                codes = sample_codes(generator, block, seed=seed, space=space, truncation=truncation)
                rows = map_micro_batches(look, codes, side=generator.resolutions[0]).clone()
                save_tensors(path, {"rows": rows}, {"inputs": inputs})
                bar.advance(len(block))
    return torch.cat([load_tensors(path)[0]["rows"] for path in paths])


def with_heads(
    scorer: FacialAttributeScorer,
    heads: Mapping[str, Head],
    faces: Faces,
    rows: Tensor,
    answers: Mapping[str, Answers],
    *,
    seed: int = 0,
) -> tuple[FacialAttributeScorer, dict[str, Quality]]:
    """A scorer that gives the attributes of heads too, from images alone; its own scores stay as they are.

    Args:
        scorer: with a network of our own.
        heads: attribute -> head of yes/no answers, which teaches.
        faces: as the heads see them.
        rows: (n, D) the same faces, by :func:`map_rows_of_samples`.
        answers: attribute -> answers about ``faces`` by their position.
        seed: of folds and resamples.

    Returns:
        the scorer, and how well it predicts answers that neither it nor its teacher was given.

    Raises:
        UserError: an attribute of numbers, or one that the scorer gives already.
    """
    known = [name for name in heads if name in scorer.attributes]
    if known or any(head.kind != "binary" for head in heads.values()):
        raise UserError(f"a scorer learns new attributes of yes and no: leave {', '.join(known) or 'numbers'} out")
    view = View.of(rows.float(), seed=seed)
    fold = torch.from_numpy(permutation(len(rows), seed)) % FOLDS
    targets = torch.cat([_targets(heads[name], faces, answers[name], fold) for name in heads], 1)
    seen = torch.cat([view(piece.float()) for piece in torch.split(rows, 1024)])
    solution = ridge(seen, targets, l2=PENALTY * float(seen.var(0).sum()))
    decisions = (seen @ solution.weights.mT + solution.biases).view(len(rows), len(heads), FOLDS + 1)
    qualities, lines = {}, []
    for j, (name, given) in enumerate(answers.items()):
        chosen = torch.tensor(sorted(given))
        values = torch.tensor([given[i] for i in chosen.tolist()], dtype=torch.float64)
        held_out = decisions[chosen, j, fold[chosen]]
        qualities[name] = quality_of(held_out, None, values, "binary", seed)
        lines.append(platt(held_out, values) or (1.0, 0.0))
    last = torch.arange(FOLDS, len(solution.weights), FOLDS + 1)
    weights = (view.basis.double() @ solution.weights[last].mT).mT / view.scale.double()
    biases = solution.biases[last] - weights @ view.mean.double()
    return _joined(scorer, list(heads), weights, biases, lines), qualities


def _targets(head: Head, faces: Faces, answers: Answers, fold: Tensor) -> Tensor:
    """(n, FOLDS + 1) logits to learn: without each fold's faces and answers, and with all of them."""
    chosen = torch.tensor(sorted(answers))
    values = torch.tensor([answers[i] for i in chosen.tolist()], dtype=torch.float64)
    without = torch.arange(FOLDS + 1)
    hidden = fold[:, None] == without
    rows = head.design.rows(faces, head.share)
    teachers = logistic(rows[chosen], values[:, None].masked_fill(hidden[chosen], torch.nan), l2=head.penalty)
    targets = (rows @ teachers.weights.mT + teachers.biases).clamp(-MOST, MOST)
    targets[chosen] = (1 - OWN) * targets[chosen] + OWN * SURE * (2 * values[:, None] - 1)
    return targets.masked_fill(hidden, torch.nan)


@torch.no_grad()
def _joined(
    scorer: FacialAttributeScorer, names: list[str], weights: Tensor, biases: Tensor, lines: list[tuple[float, float]]
) -> FacialAttributeScorer:
    """The scorer with linear heads on maps behind its own, calibrated by lines."""
    attributes = {**scorer.hparams["attributes"], **dict.fromkeys(names, "binary")}
    whole = FacialAttributeScorer(**{**scorer.hparams, "attributes": attributes, "on_maps": len(names)})
    state = {k: v for k, v in scorer.state_dict().items() if v.shape == whole.state_dict()[k].shape}
    whole.load_state_dict(state, strict=False)
    assert whole.map_head is not None
    whole.map_head.weight.copy_(weights)
    whole.map_head.bias.copy_(biases)
    slopes, intercepts = torch.tensor(lines).mT
    own = len(scorer.attributes)
    for name in ("temperature", "offset", "mean", "sd", "positives"):
        getattr(whole, name)[:own] = getattr(scorer, name)
    whole.temperature[own:] = 1 / slopes
    whole.offset[own:] = intercepts / slopes
    return whole.eval()
