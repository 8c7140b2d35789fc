"""What edits move besides their target, as several scorers see it: the ``side_effects`` of a fit.

    python benchmarks/side_effects.py --boundary FILE [--faces 512] [--images FOLDER]

Each attribute is moved by one standard deviation up and down, all others held, on faces of a stream of their own. The
scorers are the shipped one and two of :mod:`edit_precision` (even ``train`` rows of faces.csv, trained where they are
not there), none of which measures there. An entry is the mean over faces of the movement of another attribute per
movement of the target. Scorers differ in it: what exceeds two standard errors of their mean (an entry's own, or that of
all entries where it is larger) is shrunk by its signal, m² / (m² + error²), and printed as YAML for ``train.py
boundary``, to be countered.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from edit_precision import NAMES, TRUNCATION, trained
from torch import Tensor

from ifgan_pl.boundaries.boundary import LinearBoundary
from ifgan_pl.core.attributes import attribute_index
from ifgan_pl.core.micro_batches import map_micro_batches
from ifgan_pl.core.resources import resource
from ifgan_pl.generators import load_generator
from ifgan_pl.generators.sampling import sample_codes, synthesise
from ifgan_pl.scorer.loading import load_scorer

FACES_SEED = 20267
OTHERS = ("A", "A64")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boundary", required=True, help="fitted without side effects")
    parser.add_argument("--faces", type=int, default=512)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cpu", "cuda"])
    parser.add_argument("--images", help="folder of the images of faces.csv; by default they are made, half an hour")
    parser.add_argument("--out", type=Path, default=Path("runs/edit-precision"))
    args = parser.parse_args()
    files = {"shipped": resource("checkpoints/scorer-faces.ckpt")}
    files |= {name: trained(name, args.out, args.images, args.device) for name in OTHERS}
    scorers = {name: load_scorer(file).to(args.device) for name, file in files.items()}
    generator = load_generator("ffhq-mobile", device=args.device)
    codes = sample_codes(generator, range(args.faces), seed=FACES_SEED, truncation=TRUNCATION)
    boundary = LinearBoundary.load(args.boundary)

    def look(codes: Tensor) -> Tensor:
        """Scores (scorers, faces, attributes) of images of codes, in batches."""
        batches = []
        with torch.inference_mode():
            for batch in torch.split(codes, 64):
                images = synthesise(generator, batch, space="w", resolution=128).clamp(-1, 1)
                batches.append(torch.stack([map_micro_batches(s, images).double() for s in scorers.values()]))
        return torch.cat(batches, 1)

    std = look(codes).std(1, keepdim=True)
    rows = []
    for target, name in enumerate(NAMES):
        own = boundary.attributes[attribute_index(name, boundary.attributes)]
        step = boundary.edit_shift({own: 1.0}, hold="all").to(codes)
        moved = ((look(codes + step) - look(codes - step)) / 2 / std).mean(1)  # (scorers, attributes)
        rows.append(moved / moved[:, target, None])
    seen = torch.stack(rows, 1).cpu().numpy()  # (scorers, targets, attributes)
    np.set_printoptions(precision=3, suppress=True)
    for scorer, table in zip(scorers, seen, strict=True):
        print(f"{scorer}: what moves with {', '.join(NAMES)}\n{table}")
    mean, others = seen.mean(0), ~np.eye(len(NAMES), dtype=bool)
    variance = seen.var(0, ddof=1)
    variance = np.maximum(variance, variance[others].mean()) / len(scorers)
    print(f"mean, its standard error at least {np.sqrt(variance.min()):.3f}\n{mean}\nside_effects:")
    countered = np.where(others & (mean**2 > 4 * variance), mean**3 / (mean**2 + variance), 0)
    for name, row in zip(NAMES, countered, strict=True):
        if row.any():
            print(f"  {name}:", *(f"\n    {k}: {v:.2f}" for k, v in zip(NAMES, row, strict=True) if v), sep="")


if __name__ == "__main__":
    main()
