"""Weights of :class:`~ifgan_pl.generators.mobile.MobileStyleGAN` from the published OpenVINO files."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ifgan_pl.generators.checkpoints.openvino_ir import Graph
from ifgan_pl.generators.mobile import CHANNELS

FILES = {
    f"{network}.{kind}": f"random_face/data/{network}Network.{kind}"
    for network in ("Mapping", "Synthesis")
    for kind in ("xml", "bin")
}
"""The files of the wheel that :func:`read_weights` reads: a short name to a member of the archive."""


def read_weights(files: Mapping[str, bytes]) -> dict[str, Tensor]:
    """The state dict of :class:`~ifgan_pl.generators.mobile.MobileStyleGAN` but for ``w_mean`` and ``preview``.

    Args:
        files: the bytes of :data:`FILES`, by short name.
    """
    mapping, synthesis = (Graph(files[f"{name}.xml"], files[f"{name}.bin"]) for name in ("Mapping", "Synthesis"))
    state = mapping_weights(mapping) | synthesis_weights(synthesis)
    return {key: value.contiguous() for key, value in state.items()}


def mapping_weights(mapping: Graph) -> dict[str, Tensor]:
    """The eight dense layers of the mapping network."""
    weights = [constants[0] for constants in mapping.inputs_of("MatMul")]
    biases = [c[0] for c in mapping.inputs_of("Reshape") if c and c[0].shape == (512,)]
    state: dict[str, Tensor] = {}
    for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        state |= {f"mapping_layers.{i}.weight": weight, f"mapping_layers.{i}.bias": bias}
    return state


def synthesis_weights(synthesis: Graph) -> dict[str, Tensor]:
    """The synthesis network, its factors folded in and the channels before each Haar transform reordered."""
    state = {"const": synthesis.named("m.input.input")}
    kernels = iter([c[0] for c in synthesis.inputs_of("Convolution")])
    noises = iter([c[0] for c in synthesis.inputs_of("Add") if c and c[0].ndim == 4 and c[0].shape[:2] == (1, 1)])

    def affine(name: str, source: str, scale: float, order: Tensor | None = None) -> dict[str, Tensor]:
        weight = synthesis.named(f"{source}.modulation.weight") * scale
        bias = synthesis.named(f"{source}.modulation.bias")[0] * scale
        if order is not None:
            weight, bias = weight[order], bias[order]
        return {f"{name}.weight": weight, f"{name}.bias": bias}

    order = band_order(512)
    state |= affine("first.style", "m.conv1.conv", (9 * 512) ** -0.5)
    state |= {
        "first.weight": next(kernels)[order],
        "first.bias": synthesis.named("m.conv1.bias").flatten()[order],
        "first.noise": next(noises)[0, 0],
    }
    for i in range(len(CHANNELS)):
        source, name = f"m.layers.{i}", f"blocks.{i}"
        state |= affine(f"{name}.up", f"{source}.up", 0.5, order)
        for conv in ("conv1", "conv2"):
            depthwise = synthesis.named(f"{source}.{conv}.conv.weight_dw")[:, 0]
            kernel, bias = next(kernels)[:, :, 0, 0], synthesis.named(f"{source}.{conv}.bias").flatten()
            if conv == "conv2" and i + 1 < len(CHANNELS):  # what the next block reads as sub-bands
                order = band_order(len(kernel))
                kernel, bias = kernel[order], bias[order]
            pointwise = f"{name}.{conv}.pointwise"
            state |= affine(f"{pointwise}.style", f"{source}.{conv}.conv", (9 * len(depthwise)) ** -0.5)
            state |= {f"{name}.{conv}.depthwise": depthwise, f"{name}.{conv}.noise": next(noises).reshape(-1, 1)}
            state |= {f"{pointwise}.weight": kernel, f"{pointwise}.bias": bias}
    order = band_order(12)
    state |= affine("to_img.style", "m.layers.6.to_img.conv", 64**-0.5)
    state["to_img.weight"] = next(kernels)[order, :, 0, 0] * 0.5
    state["to_img.bias"] = synthesis.named("m.layers.6.to_img.bias").flatten()[order] * 0.5
    return state


def band_order(channels: int) -> Tensor:
    """Indices that bring channels from the published order into four contiguous sub-bands: (channels,) int64.

    In the published order the low sub-bands come first, then the three details of each channel in turn.
    """
    quarter = channels // 4
    details = [quarter + 3 * torch.arange(quarter) + k for k in range(3)]
    return torch.cat([torch.arange(quarter), *details])
