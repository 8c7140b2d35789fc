"""What every generator does, whatever its family (DESIGN §4): the embedded ones and one of every file format."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ifgan_pl.core.micro_batches import map_micro_batches
from ifgan_pl.generators import Generator, load_generator
from ifgan_pl.generators.checkpoints import formats
from ifgan_pl.generators.sampling import sample_z
from tests.generators.cases import CASES

EMBEDDED = ["ffhq-mobile", "digiface-dcgan"]
FILES = [
    "stylegan2",
    "stylegan2-conditional-clamped",
    "stylegan3-t",
    "stylegan3-r-conditional",
    "genforce-stylegan1",
    "genforce-pggan",
    "rosinality",
]
WITHOUT_W = ["digiface-dcgan", "genforce-pggan"]
WITH_W = [name for name in (*EMBEDDED, *FILES) if name not in WITHOUT_W]
# float64 and bfloat16 convolutions of 1024² channels-last take 20 s
QUICK = [pytest.param("ffhq-mobile", marks=pytest.mark.slow), "digiface-dcgan", *FILES]
_loaded: dict[str, Generator] = {}


@pytest.fixture(params=[*EMBEDDED, *FILES])
def generator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator:
    name = request.param
    if name not in _loaded:
        if name in EMBEDDED:
            _loaded[name] = load_generator(name)
        else:
            _loaded[name] = load_generator(CASES[name](tmp_path_factory.mktemp("contract") / name))
    return _loaded[name]


def codes(generator: Generator, count: int = 2) -> Tensor:
    """Truncated W codes, or z where there is no W; in the generator's dtype."""
    z = sample_z(range(count), generator.z_dim)
    if generator.w_mean is None:
        return z
    labels = torch.eye(generator.c_dim)[torch.arange(count) % generator.c_dim] if generator.c_dim else None
    with torch.no_grad():
        return generator.truncate(generator.mapping(z.to(generator.w_mean.dtype), labels), 0.7)


def cheap(generator: Generator) -> int:
    """A native side that keeps the tests quick."""
    return next((r for r in generator.resolutions if r >= 32), generator.img_resolution)


def test_members(generator: Generator) -> None:
    assert isinstance(generator, Generator)
    assert isinstance(generator, torch.nn.Module)
    assert generator.spaces in (("z",), ("z", "w", "w+"))
    assert list(generator.resolutions) == sorted(generator.resolutions)
    assert generator.resolutions[-1] == generator.img_resolution
    assert generator.name
    assert generator.family
    assert len(generator.fingerprint) == 64
    assert not generator.training
    assert not any(parameter.requires_grad for parameter in generator.parameters())
    if generator.w_mean is None:
        assert generator.w_dim == generator.z_dim
        assert generator.num_ws == 1
    else:
        assert generator.w_mean.shape == (generator.w_dim,)
        assert generator.w_mean.dtype == torch.float32


def test_shapes_and_range(generator: Generator) -> None:
    w = codes(generator, 1)
    for resolution in (None, *generator.resolutions):
        with torch.no_grad():
            images = generator.synthesis(w, resolution)
        side = resolution or generator.img_resolution
        assert images.shape == (1, generator.img_channels, side, side)
        assert images.dtype == torch.float32
        assert torch.isfinite(images).all()
    assert images.abs().max() < 3
    assert images.std() > 0.05


def test_determinism_and_batch_invariance(generator: Generator) -> None:
    w, side = codes(generator, 3), cheap(generator)
    with torch.no_grad():
        together = map_micro_batches(lambda piece: generator.synthesis(piece, side), w)
        apart = torch.cat(
            [map_micro_batches(lambda piece: generator.synthesis(piece, side), row) for row in w.split(1)]
        )
        assert torch.equal(together, apart)
        torch.testing.assert_close(generator.synthesis(w, side), together, rtol=0, atol=1e-3)
        assert not torch.equal(together[0], together[1])


@pytest.mark.parametrize("generator", QUICK, indirect=True)
def test_gradients_reach_the_code(generator: Any) -> None:
    """Autograd agrees with a central difference along a random direction, in float64."""
    double, side = copy.deepcopy(generator).double(), cheap(generator)
    w = codes(generator, 1).double().requires_grad_(True)
    weights = torch.randn(double.img_channels, side, side, generator=torch.Generator().manual_seed(0)).double()
    weights /= side
    (gradient,) = torch.autograd.grad((double.synthesis(w, side) * weights).sum(), w)
    direction = sample_z([7], w.shape[1]).double()
    direction = direction / direction.norm()
    step = 1e-6
    with torch.no_grad():
        ahead, behind = ((double.synthesis(w + s * direction, side) * weights).sum() for s in (step, -step))
    slope = (ahead - behind) / (2 * step)
    torch.testing.assert_close((gradient * direction).sum(), slope, rtol=1e-3, atol=1e-5)
    assert gradient.norm() > 1e-4


@pytest.mark.parametrize("generator", WITH_W, indirect=True)
def test_w_plus_equals_broadcast_w(generator: Generator) -> None:
    w, side = codes(generator), cheap(generator)
    ws = w[:, None].expand(-1, generator.num_ws, -1).contiguous()
    with torch.no_grad():
        expected = generator.synthesis(w, side)
        assert torch.equal(generator.synthesis(ws, side), expected)
        mixed = generator.synthesis(ws.index_fill(1, torch.arange(2), 0.0), side)
    assert not torch.equal(mixed, expected)


@pytest.mark.parametrize("generator", WITH_W, indirect=True)
def test_truncation(generator: Generator) -> None:
    w, mean, side = codes(generator), generator.w_mean, cheap(generator)
    assert mean is not None
    with torch.no_grad():
        face = generator.synthesis(mean[None], side)
        torch.testing.assert_close(generator.synthesis(generator.truncate(w[:1], 0.0), side), face, rtol=0, atol=1e-5)
    ws = generator.truncate(w, 0.5, cutoff=2)
    assert ws.shape == (2, generator.num_ws, generator.w_dim)
    torch.testing.assert_close(ws[:, 0], mean + 0.5 * (w - mean))
    assert torch.allclose(ws[:, 2:], w[:, None].expand_as(ws[:, 2:]), atol=1e-6)


@pytest.mark.parametrize("generator", WITHOUT_W, indirect=True)
def test_without_w_there_is_no_mapping_and_no_truncation(generator: Generator) -> None:
    z = codes(generator)
    assert generator.spaces == ("z",)
    assert torch.equal(generator.truncate(z, 1.0), z)
    with pytest.raises(ValueError, match="no truncation"):
        generator.truncate(z, 0.5)
    with pytest.raises(ValueError, match="no W space"):
        generator.mapping(z)


@pytest.mark.parametrize("generator", QUICK, indirect=True)
def test_dtypes_round_trip(generator: Any) -> None:
    w, side = codes(generator, 1), cheap(generator)
    original = copy.deepcopy(generator)
    with torch.no_grad():
        expected = original.synthesis(w, side)
        double = copy.deepcopy(original).double()
        images = double.synthesis(w.double(), side)
        assert images.dtype == torch.float64
        torch.testing.assert_close(images.float(), expected, rtol=0, atol=1e-3)
        assert torch.equal(double.float().synthesis(w, side), expected)
        half = copy.deepcopy(original).bfloat16().synthesis(w.bfloat16(), side)
    assert half.dtype == torch.bfloat16
    assert (half.float() - expected).abs().mean() < 0.05


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_devices_round_trip(generator: Any) -> None:
    w, side = codes(generator, 1), cheap(generator)
    moved = copy.deepcopy(generator).cuda()
    with torch.no_grad():
        expected = generator.synthesis(w, side)
        moved.half_resolutions = 0
        torch.testing.assert_close(moved.synthesis(w.cuda(), side).cpu(), expected, rtol=0, atol=1e-3)
        assert torch.equal(moved.cpu().synthesis(w, side), expected)


def test_nothing_is_kept_between_calls(generator: Any) -> None:
    """What inference mode made must not turn up in autograd later (DESIGN §7)."""
    unused, w, side = copy.deepcopy(generator), codes(generator, 1), cheap(generator)
    before = {name: set(vars(module)) for name, module in unused.named_modules()}
    with torch.inference_mode():
        first = unused.synthesis(w, side)
    assert {name: set(vars(module)) for name, module in unused.named_modules()} == before
    again = unused.synthesis(w.clone().requires_grad_(True), side)
    again.sum().backward()
    torch.testing.assert_close(again.detach(), first, rtol=0, atol=1e-5)


def test_wrong_codes_are_named(generator: Generator) -> None:
    for shape in ((2, generator.w_dim + 1), (2, generator.num_ws + 9, generator.w_dim), (generator.w_dim,)):
        with pytest.raises(ValueError, match="codes of shape"):
            generator.synthesis(torch.zeros(shape))
    with pytest.raises(ValueError, match="resolution must be one of"):
        generator.synthesis(codes(generator, 1), resolution=33)


@pytest.mark.parametrize("generator", WITH_W, indirect=True)
def test_wrong_inputs_of_mapping_are_named(generator: Generator) -> None:
    z = sample_z([0], generator.z_dim)
    with pytest.raises(ValueError, match="shape"):
        generator.mapping(z[:, 1:])
    with pytest.raises(ValueError, match=r"c |labels"):
        generator.mapping(z, None if generator.c_dim else torch.ones(1, 2))


@pytest.mark.parametrize("generator", FILES, indirect=True)
def test_save_and_load(generator: Any, tmp_path: Path) -> None:
    formats.save(generator, tmp_path / "g.safetensors")
    again: Any = load_generator(tmp_path / "g.safetensors")
    w = codes(generator)
    with torch.no_grad():
        assert torch.equal(again.synthesis(w), generator.synthesis(w))
    assert again.fingerprint == generator.fingerprint
    state = generator.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in again.state_dict().items())


@pytest.mark.parametrize("generator", ["digiface-dcgan", *FILES], indirect=True)  # ffhq-mobile keeps its own layout
def test_channels_last_and_compile(generator: Any) -> None:
    """The graph is whole (no graph break) and the layout is free. Backend eager: capture only, no compiler needed."""
    w = codes(generator)
    with torch.no_grad():
        expected = generator.synthesis(w)
        compiled = torch.compile(generator.synthesis, backend="eager", fullgraph=True)(w)
        torch.testing.assert_close(compiled, expected, rtol=0, atol=1e-5)
        last = copy.deepcopy(generator).to(memory_format=torch.channels_last).synthesis(w)
    torch.testing.assert_close(last, expected, rtol=0, atol=1e-4)
    torch.compiler.reset()
