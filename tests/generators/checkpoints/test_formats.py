"""Every published format: recognised, equal to the official code's images, refused when damaged."""

import logging
import math
import pickle
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from ifgan_pl.core.errors import UserError
from ifgan_pl.generators import load_generator
from ifgan_pl.generators.checkpoints import formats
from ifgan_pl.generators.sampling import sample_codes, sample_z, synthesise
from ifgan_pl.generators.stylegan1 import StyleGAN1
from ifgan_pl.generators.stylegan2 import StyleGAN2
from tests.generators import files
from tests.generators.cases import CASES, crop, golden, stylegan2_ffhq


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("generators")


def synthesised(generator, *, psi: float = 0.7, cutoff: int | None = 4) -> tuple[Tensor | None, Tensor]:
    """w of samples 0 and 1 and their truncated images, in one batch as the goldens were taken."""
    z = sample_z([0, 1], generator.z_dim)
    if generator.w_mean is None:
        return None, generator.synthesis(z)
    w = generator.mapping(z, torch.eye(generator.c_dim)[:2] if generator.c_dim else None)
    return w, generator.synthesis(generator.truncate(w, psi, cutoff))


def assert_golden(generator, expected: dict[str, Tensor], cutoff: int | None = 4, tolerance: float = 1e-4) -> None:
    w, images = synthesised(generator, cutoff=cutoff)
    images = images[: len(expected["crop"])]
    if w is not None:
        torch.testing.assert_close(w[: len(images), :8], expected["w"], rtol=0, atol=tolerance)
    torch.testing.assert_close(crop(images), expected["crop"], rtol=0, atol=tolerance)
    torch.testing.assert_close(images.double().mean((2, 3)).float(), expected["mean"], rtol=0, atol=tolerance)
    torch.testing.assert_close(
        images.double().std((2, 3), correction=0).float(), expected["std"], rtol=0, atol=tolerance
    )


@pytest.mark.parametrize("name", CASES)
def test_images_equal_the_official_code(name: str, folder: Path) -> None:
    generator = formats.load_file(CASES[name](folder / name))
    expected = golden(name)
    assert_golden(generator, expected, cutoff=None if name == "rosinality" else 4)
    if "full" in expected:
        torch.testing.assert_close(
            crop(synthesised(generator, psi=1, cutoff=None)[1]), expected["full"], rtol=0, atol=1e-4
        )


@pytest.mark.parametrize("name", CASES)
def test_convert_gives_the_same_generator_bit_for_bit(name: str, folder: Path) -> None:
    source, target = CASES[name](folder / f"{name}-source"), folder / f"{name}.safetensors"
    generator = formats.convert(source, target)
    again = formats.load_file(target)
    assert (again.fingerprint, again.family, again.name) == (generator.fingerprint, generator.family, f"{name}-source")
    assert again.config == generator.config or str(again.config) == str(generator.config)
    assert torch.equal(synthesised(again)[1], synthesised(generator)[1])
    before = target.read_bytes()
    formats.convert(target, target)
    assert target.read_bytes() == before


def test_the_suffix_does_not_matter(folder: Path) -> None:
    path = CASES["stylegan2"](folder / "misnamed").rename(folder / "misnamed.pth")
    assert formats.load_file(path).img_resolution == 32


def test_nvidia_settings_are_read_from_the_pickle(folder: Path) -> None:
    generator = formats.load_file(CASES["stylegan2-conditional-clamped"](folder / "settings"))
    assert isinstance(generator, StyleGAN2)
    assert (generator.c_dim, generator.num_ws, generator.half_resolutions) == (3, 8, 3)
    assert generator.resolutions == (4, 8, 16, 32)
    assert generator.blocks[0].conv1.clamp == 1.5
    assert generator.name == "settings"


def test_conditional_networks_are_not_sampled_without_labels(folder: Path) -> None:
    generator = formats.load_file(CASES["stylegan2-conditional-clamped"](folder / "classes"))
    with pytest.raises(UserError, match=r"classes is conditional \(3 classes\).*--latents"):
        sample_codes(generator, range(2))
    codes = generator.truncate(generator.mapping(sample_z([0, 1], 64), torch.eye(3)[:2]), 0.7)
    assert synthesise(generator, codes, space="w").shape == (2, 3, 32, 32)


def test_interfacegan_and_genforce_files_of_one_network_are_one_generator(folder: Path) -> None:
    """All of InterFaceGAN's layouts, transposed kernels (3, 3, I, O) from 128 px included, against GenForce's."""
    channels = files.channels_of(128, 1024, 24)
    genforce = files.genforce_stylegan1(channels)
    own = {}
    for name, like in files.interfacegan_stylegan1(channels).items():
        source = (
            name.replace(".epilogue", "").replace(".style_mod.dense.linear", ".style").replace("first_layer", "const")
        )
        source = source.replace(".style_mod.dense.wscale", ".style").replace(".wscale", "").replace(".linear", "")
        value = genforce[source.replace(".conv", "")]
        own[name] = value.permute(2, 3, 1, 0) if value.ndim == 4 and like.shape[:2] == (3, 3) else value
        assert own[name].shape == like.shape
    torch.save(genforce, folder / "a.pth")
    torch.save(own, folder / "b.pth")
    a, b = formats.load_file(folder / "a.pth"), formats.load_file(folder / "b.pth")
    assert isinstance(a, StyleGAN1)
    assert a.fingerprint == b.fingerprint
    assert a.family == b.family


def test_transposed_pggan_kernels_enlarge_as_repetition_does(folder: Path) -> None:
    """InterFaceGAN's ``fused_scale=True`` (3, 3, I, O) is a true convolution: the other layout with a turned kernel."""
    plain = files.pggan(files.channels_of(32, 512, 32), interfacegan=True)
    fused = {}
    for name, value in plain.items():
        match = re.fullmatch(r"layer(\d+)\.conv\.weight", name)
        if match and int(match[1]) and int(match[1]) % 2 == 0:
            fused[f"layer{match[1]}.weight"] = value.flip(2, 3).permute(2, 3, 1, 0)
        else:
            fused[name] = value
    for name, state in (("plain", plain), ("fused", fused)):
        torch.save(state, folder / f"{name}.pth")
    a, b = formats.load_file(folder / "plain.pth"), formats.load_file(folder / "fused.pth")
    assert a.fingerprint == b.fingerprint


def test_lower_resolutions_are_the_sum_of_the_images_so_far(folder: Path) -> None:
    """A network cut off at 16 px is the same network: its last image is the sum that ``resolution=16`` stops at."""
    full = formats.load_file(CASES["stylegan2-ada"](folder / "full"))
    channels = files.channels_of(64, 512, 32)[:3]
    cut = files.write_nvidia(
        folder / "cut.pkl", files.nvidia_stylegan2(16, channels, z_dim=64, w_dim=64, layers=2, clamp=256)
    )
    w = full.mapping(sample_z([0], 64))
    assert torch.equal(full.synthesis(w, resolution=16), formats.load_file(cut).synthesis(w))


def test_a_file_without_a_mean_code_gets_one(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = files.rosinality([512, 512], style_dim=64)
    torch.save({"g_ema": state}, folder / "no-mean.pt")
    with caplog.at_level(logging.WARNING):
        generator = formats.load_file(folder / "no-mean.pt")
    assert "mean of 10,000" in caplog.text
    w = generator.mapping(sample_z(range(4000), 64, seed=1))
    assert generator.w_mean is not None
    error = (generator.w_mean - w.mean(dim=0)).norm()
    spread = w.var(dim=0).sum().sqrt()
    assert error < 2 * spread / math.sqrt(4000)


def test_family_tells_the_mapping_network(folder: Path) -> None:
    """Networks with one mapping share a family whatever their synthesis; ffhq-mobile's is told by a code it gives."""
    a = formats.load_file(CASES["stylegan2-ada"](folder / "a64"))
    channels = files.channels_of(16, 256, 16)
    path = files.write_nvidia(folder / "b16.pkl", files.nvidia_stylegan2(16, channels, z_dim=64, w_dim=64, layers=2))
    b = formats.load_file(path)
    assert a.family == b.family
    assert a.fingerprint != b.fingerprint
    assert a.family != formats.load_file(CASES["stylegan2"](folder / "c")).family


def test_stylegan2_ffhq_is_told_from_its_mapping_network(tmp_path: Path) -> None:
    """ffhq-mobile's mapping network put back into a StyleGAN2 (scales folded out): one family, codes equal to 1e-4."""
    mobile, generator = load_generator("ffhq-mobile"), stylegan2_ffhq()
    formats.save(generator, tmp_path / "ffhq.safetensors")
    again = formats.load_file(tmp_path / "ffhq.safetensors")
    assert again.family == mobile.family == "stylegan2-ffhq"
    z = sample_z(range(16), 512)
    torch.testing.assert_close(again.mapping(z), mobile.mapping(z), rtol=0, atol=1e-4)
    bias = generator.mapping_network.layers[7].bias
    assert isinstance(bias, Tensor)
    bias.add_(1)
    formats.save(generator, tmp_path / "other.safetensors")
    assert formats.load_file(tmp_path / "other.safetensors").family.startswith("stylegan2-")
    assert formats.load_file(tmp_path / "other.safetensors").family != "stylegan2-ffhq"


def test_safetensors_of_something_else_and_unknown_weights_are_refused(folder: Path) -> None:
    save_file({"a": torch.ones(2)}, folder / "other.safetensors")
    with pytest.raises(UserError, match=r"other\.safetensors: is not a generator's safetensors"):
        formats.load_file(folder / "other.safetensors")
    torch.save({"state_dict": {"conv1.weight": torch.ones(2)}}, folder / "resnet.pth")
    with pytest.raises(UserError, match="those of no known generator"):
        formats.load_file(folder / "resnet.pth")
    torch.save([1, 2], folder / "list.pth")
    with pytest.raises(UserError, match="those of no known generator"):
        formats.load_file(folder / "list.pth")


def test_missing_foreign_and_misshapen_weights_are_named(folder: Path) -> None:
    good = files.genforce_stylegan2(files.channels_of(8, 512, 32))
    for change, match in (
        ({"synthesis.output0.bias": None}, "synthesis.output0.bias"),
        ({"synthesis.layer0.weight": torch.ones(32, 31, 3, 3)}, r"blocks.0.conv1.weight.*\(32, 31, 3, 3\)"),
        ({"mapping.dense9.weight": torch.ones(512, 512)}, "missing|not of this architecture|shape"),
        ({"mapping.label_weight": torch.ones(2, 512)}, "conditional"),
    ):
        state = {k: v for k, v in (good | change).items() if v is not None}
        torch.save({"generator_smooth": state}, folder / "bad.pth")
        with pytest.raises(UserError, match=match) as caught:
            formats.load_file(folder / "bad.pth")
        assert "\n" not in str(caught.value)
        assert "bad.pth" in str(caught.value)


def test_a_network_that_still_grows_is_refused(folder: Path) -> None:
    state = files.pggan(files.channels_of(8, 512, 32)) | {"lod": torch.tensor(1.0)}
    torch.save(state, folder / "growing.pth")
    with pytest.raises(UserError, match="saved while growing"):
        formats.load_file(folder / "growing.pth")


@pytest.mark.parametrize("name", ["stylegan2", "rosinality", "interfacegan-pggan", "safetensors"])
@pytest.mark.parametrize("keep", [0, 3, 0.3, 0.98])
def test_truncated_files_are_one_clear_line(name: str, keep: float, folder: Path) -> None:
    path = folder / f"cut-{name}.bin"
    if name == "safetensors":
        formats.convert(CASES["stylegan2"](folder / "whole"), path)
    else:
        CASES[name](folder / "whole").rename(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep if keep > 1 else keep * len(data))])
    with pytest.raises(UserError) as caught:
        formats.load_file(path)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "data", [b"", b"\x89PNG\r\n\x1a\n" + bytes(50), b"<html>not found</html>", b"PK\x03\x04" + bytes(99)]
)
def test_unrelated_files_are_one_clear_line(data: bytes, folder: Path) -> None:
    (folder / "unrelated.pkl").write_bytes(data)
    with pytest.raises(UserError, match=r"unrelated\.pkl") as caught:
        formats.load_file(folder / "unrelated.pkl")
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="no such file"):
        formats.load_file(folder / "absent.pkl")
    (folder / "list.pkl").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(UserError, match="no generator G_ema"):
        formats.load_file(folder / "list.pkl")
