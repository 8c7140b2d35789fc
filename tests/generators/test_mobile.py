"""``ffhq-mobile`` against OpenVINO's f32 output of the published files."""

import numpy as np
import openvino
import pytest
import torch

from ifgan_pl.core import cores
from ifgan_pl.core.micro_batches import map_micro_batches
from ifgan_pl.generators import EMBEDDED, load_generator, mobile_layers
from ifgan_pl.generators.mobile import MobileStyleGAN
from ifgan_pl.generators.sampling import sample_codes, sample_z, synthesise
from ifgan_pl.generators.wheels import download


@pytest.fixture(scope="module")
def generator() -> MobileStyleGAN:
    loaded = load_generator("ffhq-mobile")
    assert isinstance(loaded, MobileStyleGAN)
    return loaded


def test_it_equals_openvino(generator: MobileStyleGAN) -> None:
    files = download(EMBEDDED["ffhq-mobile"])
    core = openvino.Core()
    z = sample_z(range(4), 512, seed=11)

    def run(network: str, codes: np.ndarray) -> np.ndarray:
        weights = openvino.Tensor(np.frombuffer(files[f"{network}.bin"], np.uint8).copy())
        model = core.read_model(files[f"{network}.xml"], weights)
        compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return np.concatenate([compiled([row[None]])[0] for row in codes])

    w = run("Mapping", z.numpy())
    assert np.abs(generator.mapping(z).numpy() - w).max() < 2e-5
    expected = run("Synthesis", w)
    with torch.inference_mode():
        images = map_micro_batches(generator.synthesis, torch.from_numpy(w)).numpy()
    assert np.abs(images - expected).max() < 1e-3


def test_an_image_does_not_depend_on_its_batch(generator: MobileStyleGAN) -> None:
    codes = sample_codes(generator, range(3))
    with torch.inference_mode():
        together = synthesise(generator, codes, space="w", resolution=128)
        alone = synthesise(generator, codes[1:2], space="w", resolution=128)
    assert torch.equal(together[1], alone[0])


def test_strips_are_exact_whoever_computes_them(generator: MobileStyleGAN, monkeypatch: pytest.MonkeyPatch) -> None:
    codes = sample_codes(generator, [3])
    images = []
    for count in (1, 3):
        monkeypatch.setattr(cores, "workers", lambda count=count: count)
        with torch.inference_mode():
            images.append(synthesise(generator, codes, space="w"))
    assert torch.equal(*images)
    monkeypatch.setattr(mobile_layers, "STRIP", 1024)
    with torch.inference_mode():
        whole = synthesise(generator, codes, space="w")
    torch.testing.assert_close(images[0], whole, rtol=0, atol=1e-5)


def test_the_preview_resembles_full_synthesis(generator: MobileStyleGAN) -> None:
    codes = sample_codes(generator, range(4), seed=5)
    with torch.inference_mode():
        preview = synthesise(generator, codes, space="w", resolution=128)
        full = synthesise(generator, codes, space="w", resolution=256)
    full = torch.nn.functional.avg_pool2d(full.clamp(-1, 1), 2)
    psnr = 10 * torch.log10(4 / (preview - full).square().mean())
    assert psnr > 25


def test_w_plus_equals_w_and_truncation_zero_is_the_mean_face(generator: MobileStyleGAN) -> None:
    w = sample_codes(generator, [7], truncation=1.0)
    with torch.inference_mode():
        flat = generator.synthesis(w, 128)
        assert torch.equal(flat, generator.synthesis(w[:, None].expand(-1, 16, -1), 128))
        assert torch.equal(flat, generator.synthesis(w[:, None].expand(-1, 18, -1), 128))
    assert torch.equal(generator.truncate(w, 0.0)[0], generator.w_mean)
    assert generator.truncate(w, 0.5, cutoff=4).shape == (1, 16, 512)


def test_gradients_reach_the_code(generator: MobileStyleGAN) -> None:
    w = sample_codes(generator, [1]).requires_grad_()
    image = generator.synthesis(w, 128)
    image.mean().backward()
    assert w.grad is not None
    assert w.grad.abs().sum() > 0
    with torch.inference_mode():
        assert (generator.synthesis(w.detach(), 128) - image.detach()).abs().max() < 1e-5
