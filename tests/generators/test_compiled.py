"""Synthesis through torch.compile: the same images, whoever asks, compiled once."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from ifgan_pl import cli
from ifgan_pl.generators import load_generator
from ifgan_pl.generators.compiled import CompiledForward
from ifgan_pl.generators.mobile_layers import Block
from ifgan_pl.generators.sampling import sample_codes, synthesise
from tests.generators.small import SCORE, make_images
from tests.processes import ROOT, torchrun


def test_compiled_synthesis_agrees_and_does_not_depend_on_the_batch(small: Path) -> None:
    eager, compiled = load_generator(small), load_generator(small, compile=True)
    expected, got = make_images(eager), make_images(compiled)
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
