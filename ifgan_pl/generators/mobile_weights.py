"""The published files of ``ffhq-mobile`` to the weights of :class:`ifgan_pl.generators.mobile.MobileStyleGAN`."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ifgan_pl.generators.checkpoints.openvino_ir import Graph
from ifgan_pl.generators.mobile import CHANNELS


def convert(mapping: Graph, synthesis: Graph) -> dict[str, Tensor]:
    """Weights of the two published OpenVINO graphs, under the module's names (all but ``w_mean`` and ``preview``)."""
    state: dict[str, Tensor] = {"const": synthesis.named("m.input.input")}
    mapping_biases = [c[0] for c in mapping.inputs_of("Reshape") if c and c[0].shape == (512,)]
    for i, ((weight, *_), bias) in enumerate(zip(mapping.inputs_of("MatMul"), mapping_biases, strict=True)):
        state |= {f"mapping_layers.{i}.weight": weight, f"mapping_layers.{i}.bias": bias}
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
    return {key: value.contiguous() for key, value in state.items()}


def band_order(channels: int) -> Tensor:
    """From the published order (low of each, then (channel, 3) details) to four contiguous groups."""
    quarter = channels // 4
    details = [quarter + 3 * torch.arange(quarter) + k for k in range(3)]
    return torch.cat([torch.arange(quarter), *details])


def published_files() -> dict[str, str]:
    """The four files of the wheel that :func:`convert` reads: a short name to a member of the archive."""
    return {
        f"{network}.{kind}": f"random_face/data/{network}Network.{kind}"
        for network in ("Mapping", "Synthesis")
        for kind in ("xml", "bin")
    }


def convert_files(files: Mapping[str, bytes]) -> dict[str, Tensor]:
    """:func:`convert` from the bytes of :func:`published_files`."""
    return convert(
        Graph(files["Mapping.xml"], files["Mapping.bin"]), Graph(files["Synthesis.xml"], files["Synthesis.bin"])
    )
