"""The convert stage: any generator file as portable safetensors."""

from pathlib import Path

from ifgan_pl.core.messages import say
from ifgan_pl.generators.checkpoints import formats


def convert(file: str, out: str) -> Path:
    """Write any generator file as portable safetensors with its configuration; nothing in the file is run.

    Args:
        file: NVIDIA pickle, rosinality .pt, GenForce .pth or this package's own.
        out: the safetensors file to write.
    """
    generator = formats.convert(file, out)
    say(f"convert: {generator.name}, {generator.img_resolution}² in {out}")
    return Path(out)
