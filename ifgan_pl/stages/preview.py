"""The preview stage: train the cheap preview head of ``ffhq-mobile``."""

from pathlib import Path

from ifgan_pl.core.files import save_tensors
from ifgan_pl.core.messages import say
from ifgan_pl.generators.loading import load_mobile
from ifgan_pl.generators.preview import train_preview
from ifgan_pl.scorer.loading import SCORER, find_scorer


def preview(
    *,
    out: str = "runs/preview/ffhq-mobile.safetensors",
    scorer: str = SCORER,
    steps: int = 1000,
    batch_size: int = 32,
    seed: int = 1,
) -> Path:
    """Train the preview head of ffhq-mobile: 128² images from its 64² hidden layer, for scoring.

    Args:
        out: file of the centre of truncation and the head; as checkpoints/ffhq-mobile.safetensors it is used.
        scorer: whose scores should agree; as in `score`, but differentiable.
        steps, batch_size: of training, each on new faces synthesised in full: minutes on a GPU, hours on two cores.
        seed: of the faces and the weights.
    """
    generator = load_mobile()
    if not Path(out).exists():
        save_tensors(out, {"w_mean": generator.w_mean}, {})
    train_preview(generator, find_scorer(scorer), out, steps=steps, batch_size=batch_size, seed=seed)
    say(f"preview: {out}")
    return Path(out)
