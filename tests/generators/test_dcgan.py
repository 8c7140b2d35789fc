"""DCGAN against the published layout: transposed convolutions, batch normalisation, ReLU, tanh."""

import io
from itertools import pairwise

import torch
from torch import nn

from ifgan_pl.generators.dcgan import DCGAN, WIDTHS, read_weights


def published() -> nn.Sequential:
    """The network of the published checkpoint with random weights and statistics, in evaluation mode."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for i, (inputs, outputs) in enumerate(pairwise((100, *WIDTHS, 3))):
        layers.append(nn.ConvTranspose2d(inputs, outputs, 4, 2 if i else 1, 1 if i else 0, bias=False))
        if i < len(WIDTHS):
            norm = nn.BatchNorm2d(outputs)
            for value in (norm.weight, norm.running_var):
                assert value is not None
                nn.init.uniform_(value, 0.5, 2)
            for value in (norm.bias, norm.running_mean):
                assert value is not None
                nn.init.normal_(value, std=0.3)
            layers += [norm, nn.ReLU()]
    return nn.Sequential(*layers, nn.Tanh()).eval().requires_grad_(False)


def test_folded_batch_normalisation_gives_the_published_images() -> None:
    network = published()
    file = io.BytesIO()
    state = {f"main.{name}": value for name, value in network.state_dict().items()}
    torch.save({"netG_state_dict": state}, file)
    generator = DCGAN().load_weights(read_weights({"weights": file.getvalue()}))
    z = torch.randn(2, 100)
    expected = network.double()(z.double()[:, :, None, None]).float()
    assert expected.std() > 0.01
    torch.testing.assert_close(generator.synthesis(z), expected, rtol=0, atol=1e-5)
    assert len(generator.fingerprint) == 64
