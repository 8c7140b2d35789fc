"""Synthesis in bf16 and through torch.compile: flags, records and errors. A StyleGAN2 of 16 pixels compiles quickly."""

import json
import os
import platform
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from ifgan_pl import cli
from ifgan_pl.generators import Generator, load_generator
from ifgan_pl.generators.checkpoints import formats
from ifgan_pl.generators.compiled import CompiledForward
from ifgan_pl.generators.mobile_layers import Block
from ifgan_pl.generators.sampling import sample_codes, synthesise
from ifgan_pl.generators.stylegan2 import StyleGAN2
from ifgan_pl.stages.trainer import make_trainer, open_generator
from tests.processes import CPU, ROOT, torchrun

SCORE = ["score", "--num", "6", "--block_size", "3", "--scorer", "tests.generators.test_precision:Colours", *CPU]


class Colours:
    """Mean colours: a scorer of no cost."""

    attributes = ("red", "green", "blue")

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(2, 3))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A StyleGAN2 file with random weights."""
    generator = StyleGAN2(img_resolution=16, channels=[8, 8, 8], z_dim=16, w_dim=16, mapping_layers=2)
    torch.manual_seed(0)
    for value in generator.parameters():
        torch.nn.init.normal_(value, std=0.5)
    path = tmp_path_factory.mktemp("small") / "small.safetensors"
    formats.save(generator, path)
    return path


def images(generator: Generator, space: str = "w") -> torch.Tensor:
    codes = sample_codes(generator, range(3), space=space, truncation=1.0)
    with torch.inference_mode():
        return synthesise(generator, codes, space=space)


@pytest.mark.parametrize("name", ["small", "digiface-dcgan"])
def test_bf16_changes_images_little_and_codes_not_at_all(name: str, small: Path) -> None:
    source = str(small) if name == "small" else name
    exact, rounded = load_generator(source), load_generator(source, dtype=torch.bfloat16)
    assert rounded.fingerprint == exact.fingerprint
    space = "z" if exact.w_mean is None else "w"
    codes = [sample_codes(g, range(3), space=space, truncation=1.0) for g in (exact, rounded)]
    assert torch.equal(*codes)
    difference = (images(rounded, space) - images(exact, space)).abs()
    assert 0 < difference.mean() < 0.02
    assert images(rounded, space).dtype == torch.float32


def test_compiled_synthesis_agrees_and_does_not_depend_on_the_batch(small: Path) -> None:
    eager, compiled = load_generator(small), load_generator(small, compile=True)
    expected, got = images(eager), images(compiled)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-4)
    codes = sample_codes(compiled, [1], truncation=1.0)
    with torch.inference_mode():
        assert torch.equal(synthesise(compiled, codes, space="w")[0], got[1])
    strength = torch.ones(1, 1, requires_grad=True)
    synthesise(compiled, codes * strength, space="w").sum().backward()
    assert strength.grad is not None
    assert strength.grad != 0


def test_a_block_compiled_ahead_agrees_and_threads_share_it() -> None:
    torch.manual_seed(0)
    block = Block(16, 8, 8).requires_grad_(False)
    for parameter in block.parameters():
        parameter.normal_(std=0.3)
    for conv in (block.conv1, block.conv2):
        conv.taps.copy_(conv.depthwise.reshape(-1, 9).T)
    inputs = torch.randn(1, 4, 4, 16), torch.randn(1, 512), torch.randn(1, 512), torch.randn(64, 1), torch.randn(64, 1)
    expected = block(*inputs)
    compiled = CompiledForward(block)

    def run(_: int) -> torch.Tensor:
        with torch.inference_mode():
            return compiled(*inputs)

    first = run(0)
    torch.testing.assert_close(first, expected, rtol=1e-4, atol=1e-4)
    assert not torch.equal(compiled(*(2 * t for t in inputs)), first)
    with ThreadPoolExecutor(4) as pool:
        assert all(torch.equal(image, first) for image in pool.map(run, range(40)))
    assert len(compiled._compiled) == 1
    x = inputs[0].clone().requires_grad_()
    compiled(x, *inputs[1:]).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0


def test_flags_reach_the_record_and_another_precision_is_refused(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*SCORE, "--generator", str(small), "--out", str(tmp_path / "s")]
    cli.train([*arguments, "--trainer.precision", "bf16-true"])
    assert json.loads((tmp_path / "s/manifest.json").read_text())["numerics"]["dtype"] == "bfloat16"
    for flags, expected in {
        (): "dtype bfloat16 -> float32",
        ("--trainer.precision", "bf16-mixed"): "synthesis knows",
        ("--trainer.precision", "16-true"): "needs a GPU",
    }.items():
        with pytest.raises(SystemExit):
            cli.train([*arguments, *flags])
        assert expected in capsys.readouterr().err
    cli.train([*arguments, "--allow-numerics-change"])
    assert "numerics changed" in capsys.readouterr().out


@pytest.mark.parametrize("capability", ["AVX2", "AVX512"])
def test_bf16_on_a_cpu_that_emulates_it_is_said_to_be_slow(
    capability: str, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    flags = {"accelerator": "cpu", "precision": "bf16-true"}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        open_generator(str(small), make_trainer(flags, ""), flags, compile=False)
    assert any("emulates bfloat16" in str(w.message) for w in caught) == (capability == "AVX2")


def test_without_a_compiler_it_is_one_line(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", str(tmp_path / "g++"))
    with pytest.raises(SystemExit):
        cli.train([*SCORE, "--generator", str(small), "--out", str(tmp_path / "s"), "--compile"])
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "needs a C++ compiler" in line
    assert not (tmp_path / "s").exists()


@pytest.mark.slow
def test_the_second_process_compiles_nothing(small: Path, tmp_path: Path) -> None:
    """The same bytes from a cold and from a warm cache, from which no code is generated; on two ranks too."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TORCHINDUCTOR")}
    environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "IFGAN_PL_CACHE": str(tmp_path / "cache")}
    stores, kernels = [], []
    command = [str(ROOT / "train.py"), *SCORE, "--generator", str(small), "--compile"]
    for run, launch in enumerate(([sys.executable, *command], [sys.executable, *command], torchrun(*command))):
        out = tmp_path / f"run{run}"
        result = subprocess.run(
            [*launch, "--out", str(out)], env=environment, capture_output=True, text=True, timeout=500, check=False
        )
        assert result.returncode == 0, result.stderr[-2000:]
        stores.append({path.name: path.read_bytes() for path in out.glob("block-*")})
        kernels.append(sorted((tmp_path / "cache/compiled").rglob("*.so")))
    assert stores[0] == stores[1] == stores[2]
    assert kernels[0]
    assert kernels[0] == kernels[1] == kernels[2]
