"""The precision of synthesis on the command line: what reaches the numerics record, and what is refused."""

import json
import platform
import warnings
from pathlib import Path

import pytest
import torch

from ifgan_pl import cli
from ifgan_pl.stages.trainer import make_trainer, open_generator
from tests.generators.small import SCORE


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
