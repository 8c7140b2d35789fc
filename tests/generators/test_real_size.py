"""The published sizes against the official code, and half precision."""

from pathlib import Path
from typing import Any

import pytest
import torch

from ifgan_pl.generators.checkpoints import formats
from ifgan_pl.generators.sampling import sample_z
from ifgan_pl.generators.stylegan2 import StyleGAN2
from ifgan_pl.generators.stylegan3 import StyleGAN3
from tests.generators import files
from tests.generators.cases import CASES, crop, golden

T_256 = [(36, 512)] * 3 + [(52, 512)] * 2 + [(84, 512)] * 2
T_256 += [(148, 362), (148, 256), (148, 181), (276, 128), (276, 91), (276, 64), (256, 64), (256, 3)]
R_256 = [(36, 1024)] * 3 + [(52, 1024)] * 2 + [(84, 1024)] * 2
R_256 += [(148, 724), (148, 512), (148, 362), (276, 256), (276, 181), (276, 128), (256, 128), (256, 3)]
T_1024 = [(36, 512)] * 2 + [(52, 512)] * 2 + [(84, 512)] + [(148, 512)] * 2 + [(276, 323), (276, 203), (532, 128)]
T_1024 += [(1044, 81), (1044, 51), (1044, 32), (1024, 32), (1024, 3)]


def stylegan3(path: Path, shapes: list[tuple[int, int]], **config: Any) -> Path:
    resolution = shapes[-1][0]
    layers: Any = StyleGAN3(img_resolution=resolution, **config).layers
    filters = [(layer.up_filter, layer.down_filter) for layer in layers]
    generator = files.nvidia_stylegan3(resolution, shapes, z_dim=512, w_dim=512, filters=filters, **config)
    return files.write_nvidia(path, generator)


def write(name: str, path: Path) -> Path:
    """A file of a published size, in its published format."""
    if name == "stylegan2-1024":
        channels = files.channels_of(1024, 32768, 512)
        return files.write_nvidia(path, files.nvidia_stylegan2(1024, channels, z_dim=512, w_dim=512, layers=8))
    if name == "stylegan3-t-256":
        return stylegan3(path, T_256, channel_base=16384)
    if name == "stylegan3-t-1024":
        return stylegan3(path, T_1024)
    if name == "stylegan3-r-256":
        return stylegan3(path, R_256, channel_base=32768, channel_max=1024, conv_kernel=1, use_radial_filters=True)
    channels = files.channels_of(1024, 16384, 512)
    state = files.genforce_stylegan1(channels) if "stylegan1" in name else files.pggan(channels)
    torch.save({"generator_smooth": state}, path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "stylegan2-1024",
        "stylegan3-t-256",
        "stylegan3-r-256",
        "stylegan3-t-1024",
        "genforce-stylegan1-1024",
        "genforce-pggan-1024",
    ],
)
def test_published_sizes_equal_the_official_code(name: str, tmp_path: Path) -> None:
    generator, expected = formats.load_file(write(name, tmp_path / "file")), golden(name, "real.safetensors")
    z = sample_z([0], 512)
    with torch.no_grad():
        w = z
        if generator.w_mean is not None:
            w = generator.mapping(z)
            torch.testing.assert_close(w[:, :8], expected["w"], rtol=0, atol=1e-4)
            w = generator.truncate(w, 0.7, 8 if "genforce" in name else None)
        images = generator.synthesis(w)
    error = (crop(images) - expected["crop"]).abs().max().item()
    print(f"{name}: max abs difference {error:.1e}, std of the image {images.std():.2f}")
    assert error < 1e-4
    torch.testing.assert_close(images.double().mean((2, 3)).float(), expected["mean"], rtol=0, atol=1e-4)
    torch.testing.assert_close(images.double().std((2, 3), correction=0).float(), expected["std"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["stylegan2-ada", "stylegan2-conditional-clamped", "stylegan3-t"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_of_high_resolutions(
    name: str, dtype: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Off the CPU the file's highest resolutions run in half precision: which ones, on the meta device; how near the
    float32 image they come, on the CPU, told for once to do the same."""
    generator = formats.load_file(CASES[name](tmp_path / name))
    assert isinstance(generator, StyleGAN2 | StyleGAN3)
    generator.half_dtype = dtype
    labels = torch.eye(3)[:2] if generator.c_dim else None
    with torch.no_grad():
        w = generator.mapping(sample_z([0, 1], 64), labels)
        expected = generator.synthesis(w)
        seen: list[torch.dtype] = []
        layers = generator.blocks if isinstance(generator, StyleGAN2) else generator.layers
        hooks = [layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].dtype)) for layer in layers]
        images = generator.to("meta").synthesis(w.to("meta"))
        assert images.dtype == torch.float32
        meta = list(seen)
        halves = {"stylegan2-ada": 2, "stylegan2-conditional-clamped": 3, "stylegan3-t": 7}[name]
        assert meta == [torch.float32] * (len(meta) - halves) + [dtype] * halves
        for hook in hooks:
            hook.remove()
        generator = formats.load_file(tmp_path / f"{name}.pkl")
        sides = iter(meta)
        monkeypatch.setattr(generator, "_dtype", lambda _: next(sides))
        images = generator.synthesis(w)
    assert images.dtype == torch.float32
    error = (images - expected).abs().mean() / expected.std()
    assert 0 < error < (0.01 if dtype == torch.float16 else 0.05)
