"""The mapping network Z -> W that StyleGAN 1, 2 and 3 share (Karras et al. 2019, section 2)."""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Dense(nn.Module):
    """A linear layer with equalised learning rate (Karras 2018, section 4.1): the stored weights are of unit variance
    over ``lr_multiplier``, and ``forward`` scales them."""

    def __init__(self, in_dim: int, out_dim: int, *, lr_multiplier: float = 1.0, bias_init: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out_dim, in_dim))
        self.bias = nn.Parameter(torch.full((out_dim,), bias_init))
        self.weight_gain = lr_multiplier / math.sqrt(in_dim)
        self.bias_gain = lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_dim) -> (N, out_dim)."""
        bias = self.bias if self.bias_gain == 1 else self.bias * self.bias_gain
        return F.linear(x, self.weight * self.weight_gain, bias)


def normalise(x: Tensor) -> Tensor:
    """Scale each row or pixel to unit mean square over its channels: (N, C, ...) -> the same (Karras 2018, 4.2)."""
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


class MappingNetwork(nn.Module):
    """``num_layers`` dense layers with leaky ReLU 0.2, on the normalised z and an embedded class label if there is one.

    Args:
        z_dim, c_dim, w_dim: dimensions of Z, of the label (0: unconditional) and of W.
        num_layers: dense layers.
        hidden_dim: their width; ``None``: ``w_dim``.
        embed_dim: width of the embedded label; ``None``: ``w_dim``.
        lr_multiplier: factor on the stored weights and biases; .01 in all published networks.
        gain_bias: whether the √2 after the leaky ReLU includes the bias (StyleGAN 2 and 3), or the weights carry it
            (StyleGAN 1).
    """

    def __init__(
        self,
        *,
        z_dim: int,
        c_dim: int,
        w_dim: int,
        num_layers: int,
        hidden_dim: int | None = None,
        embed_dim: int | None = None,
        lr_multiplier: float = 0.01,
        gain_bias: bool = True,
    ) -> None:
        super().__init__()
        self.z_dim, self.c_dim = z_dim, c_dim
        hidden_dim, embed_dim = hidden_dim or w_dim, embed_dim or w_dim
        self.embed = Dense(c_dim, embed_dim) if c_dim else None
        dims = [z_dim + (embed_dim if c_dim else 0), *[hidden_dim] * (num_layers - 1), w_dim]
        self.layers = nn.ModuleList()
        for in_dim, out_dim in itertools.pairwise(dims):
            layer = Dense(in_dim, out_dim, lr_multiplier=lr_multiplier)
            layer.weight_gain *= math.sqrt(2)  # √2 lrelu(a) = lrelu(√2 a)
            layer.bias_gain *= math.sqrt(2) if gain_bias else 1.0
            self.layers.append(layer)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """(N, z_dim), label (N, c_dim) where there is one -> (N, w_dim)."""
        if z.ndim != 2 or z.shape[1] != self.z_dim:
            raise ValueError(f"z of shape (N, {self.z_dim}) expected, got {tuple(z.shape)}")
        labels = 0 if c is None else c.shape[-1]
        if labels != self.c_dim or (c is not None and c.shape[:-1] != z.shape[:1]):
            wanted = f"class labels of shape (N, {self.c_dim})" if self.c_dim else "no class labels"
            raise ValueError(f"{wanted} expected, got {'none' if c is None else tuple(c.shape)}")
        dtype = next(self.parameters()).dtype
        x = normalise(z.to(dtype))
        if self.embed is not None and c is not None:
            x = torch.cat([x, normalise(self.embed(c.to(dtype)))], dim=1)
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
        return x


def styles(w: Tensor, num_ws: int) -> tuple[Tensor, ...]:
    """The (N, w_dim) code of each style input, from W (N, w_dim) or W+ (N, num_ws, w_dim)."""
    return (w,) * num_ws if w.ndim == 2 else w.unbind(dim=1)
