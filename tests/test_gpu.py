"""What holds on a CPU holds on a GPU: same results whatever the batches, and the CPU's to rounding."""

from pathlib import Path
from typing import Any

import pytest
import torch

from ifgan_pl import Editor, LinearBoundary, cli, load_generator
from ifgan_pl.boundaries.fit import fit_boundary
from ifgan_pl.core.resources import resource
from ifgan_pl.scorer.loading import load_scorer, scorer_metrics
from ifgan_pl.scorer.module import FacialAttributeScorer
from ifgan_pl.scores.score_file import open_scores

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
BOUNDARY = resource("checkpoints/ffhq-mobile-w.safetensors")


def scored(out: Path, *options: str) -> tuple[torch.Tensor, torch.Tensor]:
    cli.train(["score", "--num", "300", "--out", str(out), "--trainer.enable_progress_bar", "false", *options])
    return open_scores(out).load()


def test_scores_do_not_depend_on_the_batch_size_and_agree_with_the_shipped_ones(tmp_path: Path) -> None:
    codes, scores = scored(tmp_path / "a")
    others, again = scored(tmp_path / "b", "--batch_size", "100")
    assert torch.equal(codes, others)
    assert torch.equal(scores, again)
    shipped_codes, shipped = open_scores(resource("checkpoints/ffhq-mobile-scores.safetensors")).load()
    torch.testing.assert_close(codes, shipped_codes[:300], rtol=0, atol=1e-4)
    assert ((scores - shipped[:300]) / shipped.std(0)).abs().mean() < 0.01


def test_a_store_of_the_cpu_is_not_continued_in_silence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.train(["score", "--num", "4", "--out", str(tmp_path), "--trainer.accelerator", "cpu"])
    with pytest.raises(SystemExit):
        cli.train(["score", "--num", "8", "--out", str(tmp_path)])
    assert "another numerics record" in capsys.readouterr().err


def test_images_do_not_depend_on_their_batch_and_agree_with_the_cpu() -> None:
    images = {}
    for device in ("cpu", "cuda"):
        editor = Editor(load_generator("ffhq-mobile", device=device), LinearBoundary.load(BOUNDARY))
        with torch.inference_mode():
            images[device] = editor.edit(range(3), smile=2.0, hold="all")
            alone = editor.edit([1], smile=2.0, hold="all")
        assert images[device].device.type == device
        assert torch.equal(images[device][1:2], alone)
    torch.testing.assert_close(images["cuda"].cpu(), images["cpu"], rtol=0, atol=1e-3)


@pytest.mark.parametrize("solver", ["ridge", "logistic", "squared_hinge", "hinge"])
def test_boundaries_of_both_devices_agree(solver: str) -> None:
    codes = torch.randn(3000, 64, generator=torch.Generator().manual_seed(0))
    scores = codes[:, :3] * 2 + torch.randn(3000, 3, generator=torch.Generator().manual_seed(1))
    selection = "extremes" if solver in ("squared_hinge", "hinge") else "all"
    options: dict[str, Any] = {"attributes": "abc", "space": "w", "solver": solver, "selection": selection, "l2": 0.1}
    on_cpu = fit_boundary(codes, scores, **options)
    on_gpu = fit_boundary(codes.cuda(), scores.cuda(), **options)
    torch.testing.assert_close(on_gpu.normals, on_cpu.normals, rtol=0, atol=1e-3 if solver == "hinge" else 1e-5)


def test_a_scorer_is_trained_and_its_metrics_written(tmp_path: Path) -> None:
    arguments = ["scorer", "--out", str(tmp_path / "scorer.ckpt"), "--data", "ifgan_pl.data.FacesData"]
    arguments += ["--data.init_args.resolution", "128", "--data.init_args.cache_dir", str(tmp_path)]
    cli.train([*arguments, "--trainer.max_epochs", "1", "--trainer.enable_progress_bar", "false"])
    trained = load_scorer(tmp_path / "scorer.ckpt")
    assert 0 <= scorer_metrics(trained, str(tmp_path / "scorer.ckpt"))["accuracy/eyeglasses"] <= 1


def test_scores_on_the_cpu_calibrate_a_scorer_on_the_gpu() -> None:
    """Lightning gathers validation scores on the CPU."""
    model = FacialAttributeScorer({"smile": "binary"}, backbone="small8", image_size=32).cuda()
    scores = torch.linspace(-4, 4, 200)[:, None]
    model.calibrate(scores, (scores + torch.randn(200, 1, generator=torch.Generator().manual_seed(0)) > 0).float())
    assert model.temperature.device.type == "cuda"
    assert float(model.temperature) < 0.9
