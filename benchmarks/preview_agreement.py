"""Do scores of the preview agree with scores of full synthesis? ``preview_agreement.py --num 128``."""

import argparse

import torch

from ifgan_pl import load_generator
from ifgan_pl.resources import find
from ifgan_pl.sampling import sample_codes
from ifgan_pl.scorer import load_scorer
from ifgan_pl.tasks.score import score_codes

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--num", type=int, default=128, help="faces, of a stream that trained nothing")
parser.add_argument("--truncation", type=float, default=0.7)
options = parser.parse_args()
generator = load_generator("ffhq-mobile")
scorer = load_scorer(find("scorer-faces", "checkpoints", (".ckpt",)))
codes = sample_codes(generator, range(options.num), seed=77, truncation=options.truncation)
with torch.inference_mode():
    preview, full = (score_codes(generator, scorer, codes, space="w", resolution=r) for r in (128, 1024))
for name, a, b in zip(scorer.attributes, preview.T, full.T, strict=True):
    r = torch.corrcoef(torch.stack([a, b]))[0, 1]
    print(f"{name:12s} r {r:.3f}  mean difference {(a - b).mean() / b.std():+.3f} sd")
