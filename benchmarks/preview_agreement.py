"""Does the preview agree with full synthesis, in images and in scores? ``preview_agreement.py --num 128``."""

import argparse
import math

import torch
import torch.nn.functional as F

from ifgan_pl import load_generator
from ifgan_pl.core.micro_batches import map_micro_batches
from ifgan_pl.core.resources import find
from ifgan_pl.generators.sampling import sample_codes, synthesise
from ifgan_pl.scorer.loading import load_scorer

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--num", type=int, default=128, help="faces, of a stream that trained nothing")
parser.add_argument("--truncation", type=float, default=0.7)
options = parser.parse_args()
generator = load_generator("ffhq-mobile")
scorer = load_scorer(find("scorer-faces", "checkpoints", (".ckpt",)))
codes = sample_codes(generator, range(options.num), seed=77, truncation=options.truncation)
scores: dict[int, list[torch.Tensor]] = {128: [], 1024: []}
error = 0.0
with torch.inference_mode():
    for part in torch.split(codes, 16):
        images = {side: synthesise(generator, part, space="w", resolution=side).clamp(-1, 1) for side in scores}
        error += float((images[128] - F.avg_pool2d(images[1024], 8)).square().sum())
        for side, part_images in images.items():
            scores[side].append(map_micro_batches(scorer, part_images))
preview, full = (torch.cat(rows) for rows in scores.values())
print(f"{10 * math.log10(4 * codes.shape[0] * 3 * 128**2 / error):.2f} dB between 128² images of {len(codes)} faces")
for name, a, b in zip(scorer.attributes, preview.T, full.T, strict=True):
    r = torch.corrcoef(torch.stack([a, b]))[0, 1]
    print(f"{name:12s} r {r:.3f}  mean difference {(a - b).mean() / b.std():+.3f} std")
