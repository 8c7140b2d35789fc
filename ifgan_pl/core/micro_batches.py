"""Micro-batches of a fixed size: the bits of a result do not depend on the user's batch size, which only groups them.

On a CPU a micro-batch is one sample (also the fastest), and several cores compute several samples side by side.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ifgan_pl.core.cores import map_on_cores, use_one_thread

LARGE = 256
"""Resolution in pixels above which an image is large: a GPU computes fewer of them at once."""


def micro_batch_size(device: torch.device, side: int = 0) -> int:
    """Samples computed at once.

    On a CPU one. On a GPU 64, which a small network needs to fill it, or 16 images of more than :data:`LARGE` pixels,
    which nearly fill it and need more memory each.

    Args:
        device: that computes.
        side: of the images that are synthesised, in pixels; 0: codes, scores.
    """
    if device.type == "cpu":
        return 1
    return 16 if side > LARGE else 64


def map_micro_batches(function: Callable[[Tensor], Tensor], codes: Tensor, *, side: int = 0) -> Tensor:
    """``function(codes)``, computed in micro-batches of the fixed size of the codes' device.

    Args:
        function: (n, …) -> (n, …), each row a function of its row alone.
        codes: (N, …), N ≥ 1.
        side: of the images that the function synthesises, which decides that size; 0: it does not.

    Returns:
        the results, concatenated: (N, …), on the codes' device.
    """
    if len(codes) == 0:
        raise ValueError("at least one code is needed, got none")
    size = micro_batch_size(codes.device, side)
    pieces = list(torch.split(codes, size))
    padding = size - len(pieces[-1])
    if padding:
        pieces[-1] = torch.cat([pieces[-1], pieces[-1][-1:].expand(padding, *codes.shape[1:])])
    if codes.device.type != "cpu":
        # one switch for both: by default PyTorch rounds convolutions to TF32, and matrix products not
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32
        results = [function(piece) for piece in pieces]
    else:
        use_one_thread()
        results = map_on_cores(function, pieces)
    if padding:
        results[-1] = results[-1][:-padding]
    return torch.cat(results) if len(results) > 1 else results[0]
