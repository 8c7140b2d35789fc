"""Pairs to learn an encoder from: codes of ``ffhq-mobile``, their preview images and the identity seen in them.

They are made once, in blocks that stand alone: a run that was interrupted goes on, and ranks share the blocks.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from ifgan_pl.core.distributed import ALONE, Ranks
from ifgan_pl.core.files import json_digest, load_tensors, save_tensors
from ifgan_pl.core.progress import CountBar
from ifgan_pl.generators.mobile import MobileStyleGAN
from ifgan_pl.generators.sampling import sample_z, synthesise
from ifgan_pl.scorer.augment import uniforms

BLOCK = 64
"""Pairs of a file."""
SEEN_ROWS = 10
"""Rows of W+ that the preview reads: 0 … 9. Those behind follow row 9."""
LEAST, MOST = 0.55, 1.05
"""Truncation psi of the pairs, uniform between these; photographs lie at 1 and beyond."""
MIXED = 0.5
"""Share of pairs whose later rows move towards a second code."""


def sample_ws(generator: MobileStyleGAN, indices: range, *, seed: int) -> Tensor:
    """W+ codes of pairs, as the preview reads them.

    Pair i is made of samples 2i and 2i + 1 of the stream ``seed``: rows before a random one are the first code, those
    from it on lie at a random place between the two. Which, and psi, is a function of (seed, i) alone.

    Args:
        generator: on any device, in float32.
        indices: of pairs; a run of consecutive ones.
        seed: of the stream.

    Returns:
        (n, SEEN_ROWS, 512) float32, on the generator's device.
    """
    z = sample_z(range(2 * indices.start, 2 * indices.stop), 512, seed=seed).to(generator.w_mean.device)
    with torch.no_grad():
        w = generator.mapping(z).float().view(len(indices), 2, 512)
    draws = torch.from_numpy(uniforms(seed, 0, torch.arange(indices.start, indices.stop), 4)).to(w)
    first = torch.where(draws[:, 0] < MIXED, 1 + (draws[:, 1] * (SEEN_ROWS - 1)).long(), SEEN_ROWS)
    later = torch.arange(SEEN_ROWS, device=w.device)[None] >= first[:, None]
    share = (later * draws[:, 2, None])[..., None]
    psi = (LEAST + (MOST - LEAST) * draws[:, 3])[:, None, None]
    ws = w[:, :1] + share * (w[:, 1:] - w[:, :1])
    return generator.w_mean + psi * (ws - generator.w_mean)


def full_ws(ws: Tensor, num_ws: int = 16) -> Tensor:
    """The rows that the preview reads (N, SEEN_ROWS, 512) -> all rows (N, num_ws, 512): the last one is repeated."""
    return torch.cat([ws, ws[:, -1:].expand(-1, num_ws - ws.shape[1], -1)], 1)


def make_pairs(
    generator: MobileStyleGAN,
    fast: MobileStyleGAN,
    identity: Callable[[Tensor], Tensor],
    folder: Path,
    *,
    count: int,
    seed: int,
    ranks: Ranks = ALONE,
) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs 0 … count - 1 of a stream, from ``folder`` where they are there already.

    Args:
        generator: of the codes, in float32.
        fast: of the images: the same, in any precision.
        identity: images (N, 3, 128, 128) in [-1, 1] -> unit embeddings (N, d).
        folder: of the blocks.
        count: a multiple of :data:`BLOCK`.
        seed: of the stream.
        ranks: that share the blocks; each ends with all pairs.

    Returns:
        images (count, 3, 128, 128) uint8, codes (count, SEEN_ROWS, 512) float16 and embeddings (count, d) float16.
    """
    about = [generator.fingerprint, seed, BLOCK, SEEN_ROWS, LEAST, MOST, MIXED]
    folder = folder / json_digest(about)[:16]
    paths = [folder / f"{first:08d}.safetensors" for first in range(0, count, BLOCK)]
    missing = [path for path in paths if not path.is_file()]
    mine = [missing[i] for i in ranks.share(len(missing))]
    with CountBar("making pairs", len(mine) * BLOCK) as bar:
        for path in mine:
            first = int(path.stem)
            ws = sample_ws(generator, range(first, first + BLOCK), seed=seed)
            with torch.no_grad():
                images = synthesise(fast, full_ws(ws), space="w+", resolution=128).clamp(-1, 1)
                with torch.autocast(images.device.type, torch.bfloat16, enabled=fast.const.dtype == torch.bfloat16):
                    seen = torch.cat([identity(part).float() for part in torch.split(images, 8)])
            stored = (images * 127.5 + 127.5).round().to(torch.uint8)
            save_tensors(path, {"images": stored, "ws": ws.half(), "identity": seen.half()}, {})
            bar.advance(BLOCK)
    ranks.barrier()
    blocks = [load_tensors(path)[0] for path in paths]
    images, codes, seen = (torch.cat([block[name] for block in blocks]) for name in ("images", "ws", "identity"))
    return images, codes, seen
