"""StyleGAN3's filters against SciPy's, and up- and downsampling against their definitions."""

import pytest
import torch
import torch.nn.functional as F
from scipy.signal import firwin
from torch import Tensor

from ifgan_pl.generators.resampling import downsample, lowpass, upsample


def designed(taps: int, *, cutoff: float, width: float, rate: float, radial: bool = False) -> Tensor:
    found = lowpass(taps, cutoff=cutoff, width=width, rate=rate, radial=radial)
    assert found is not None
    return found


@pytest.mark.parametrize(("taps", "width"), [(12, 12.0), (12, 1.0), (24, 30.0), (48, 6.0)])
def test_the_separable_low_pass_is_scipys(taps: int, width: float) -> None:
    expected = torch.from_numpy(firwin(taps, cutoff=16.0, width=width, fs=128.0)).float()
    torch.testing.assert_close(designed(taps, cutoff=16.0, width=width, rate=128.0), expected, rtol=0, atol=1e-6)
    assert lowpass(1, cutoff=16.0, width=width, rate=128.0) is None


def test_the_radial_low_pass_has_unit_sum_and_all_symmetries() -> None:
    fir = designed(12, cutoff=8.0, width=8.0, rate=64.0, radial=True)
    assert fir.shape == (12, 12)
    torch.testing.assert_close(fir.sum(), torch.tensor(1.0))
    for other in (fir.T, fir.flip(0), fir.flip(1)):
        torch.testing.assert_close(fir, other)


@pytest.mark.parametrize("padding", [(5, 4), (-1, 3), (0, -2)])
def test_upsampling_inserts_zeros_pads_or_crops_and_filters(padding: tuple[int, int]) -> None:
    x = torch.randn(2, 3, 6, 7, generator=torch.Generator().manual_seed(0))
    fir = torch.tensor([1.0, 4.0, 2.0, 0.5])
    zeros = x.new_zeros(2, 3, 12, 14)
    zeros[:, :, ::2, ::2] = x
    kernel = torch.outer(fir, fir).flip(0, 1)[None, None] * 4
    padded = F.pad(zeros, (*padding, *padding)).reshape(6, 1, 12 + sum(padding), 14 + sum(padding))
    expected = F.conv2d(padded, kernel)
    torch.testing.assert_close(upsample(x, fir, 2, padding).flatten(0, 1)[:, None], expected)


def test_without_a_filter_upsampling_only_pads_or_crops() -> None:
    x = torch.randn(1, 2, 5, 5)
    assert torch.equal(upsample(x, None, 1, (1, -2)), F.pad(x, (1, -2, 1, -2)))
    assert downsample(x, None, 1) is x


@pytest.mark.parametrize("radial", [False, True])
def test_downsampling_filters_and_keeps_every_second_sample(radial: bool) -> None:
    x = torch.randn(2, 3, 9, 8, generator=torch.Generator().manual_seed(0))
    fir = torch.tensor([1.0, 4.0, 2.0])
    fir_2d = torch.outer(fir, fir)
    expected = F.conv2d(x.flatten(0, 1)[:, None], fir_2d.flip(0, 1)[None, None])[:, :, ::2, ::2]
    got = downsample(x, fir_2d if radial else fir, 2)
    torch.testing.assert_close(got.flatten(0, 1)[:, None], expected)
