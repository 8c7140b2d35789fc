from typing import Any

import pytest
import torch
from torch.nn.functional import normalize

from ifgan_pl.boundaries import solvers
from ifgan_pl.boundaries.bootstrap import bootstrap, stability


def sample(count: int, seed: int, dim: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randn(count, dim, generator=generator)
    truth = torch.randn(2, dim, generator=torch.Generator().manual_seed(9))
    noise = torch.randn(count, 2, generator=generator) * torch.tensor([3.0, 20.0])
    return codes, codes @ truth.mT + noise


@pytest.mark.parametrize("solver", ["ridge", "logistic"])
def test_the_bootstrap_foresees_how_independent_samples_agree(solver: str) -> None:
    """On average over samples: of a noisy attribute one sample's own estimate varies by .16."""
    fits, foreseen = [], []
    for seed in range(24):
        codes, scores = sample(400, seed)
        targets = scores if solver == "ridge" else (scores > 0).float()
        fits.append(solvers.SOLVERS[solver](codes, targets, l2=1e-3))
        if seed < 12:
            refits = bootstrap(solvers.SOLVERS[solver], codes, targets, fits[-1], refits=20)
            foreseen.append(stability(refits, fits[-1].weights))
    units = normalize(torch.stack([fit.weights for fit in fits]), dim=2)
    cosines = torch.einsum("amd,bmd->mab", units, units)
    observed = (cosines.sum((1, 2)) - 24) / (24 * 23)
    agreement = torch.stack([found.agreement for found in foreseen]).mean(0)
    torch.testing.assert_close(agreement, observed, atol=0.08, rtol=0)
    assert agreement[0] > agreement[1] + 0.2  # the second attribute is noisier
    assert all((found.low < found.high).all() for found in foreseen)


def test_ranks_draw_what_one_draws() -> None:
    codes, scores = sample(400, 0)
    fit = solvers.ridge(codes, scores, l2=1e-3)
    whole = bootstrap(solvers.ridge, codes, scores, fit, refits=2)
    rows = slice(100, 400)
    drawn: list[torch.Tensor] = []

    def solver(codes: torch.Tensor, targets: torch.Tensor, **options: Any) -> solvers.Solution:
        drawn.append(options["weights"])
        return solvers.ridge(codes, targets, **options)

    bootstrap(solver, codes[rows], scores[rows], fit, refits=2, rows=rows, total=400)
    bootstrap(solver, codes, scores, fit, refits=2)
    assert torch.equal(drawn[0], drawn[1][rows])
    assert whole.shape == (2, 2, 16)


def test_more_samples_do_what_was_foreseen() -> None:
    codes, scores = sample(400, 0)
    fit = solvers.ridge(codes, scores, l2=1e-3)
    found = stability(bootstrap(solvers.ridge, codes, scores, fit, refits=40), fit.weights)
    wanted = int(found.samples_for(0.95, 400)[0])
    fits = normalize(torch.stack([solvers.ridge(*sample(wanted, seed), l2=1e-3).weights[0] for seed in range(1, 9)]))
    cosines = fits @ fits.mT
    assert float((cosines.sum() - 8) / 56) == pytest.approx(0.95, abs=0.03)


def test_missing_targets_are_kept() -> None:
    codes, scores = sample(400, 0)
    scores[:390, 1] = torch.nan
    fit = solvers.ridge(codes, scores, l2=1e-1)
    refits = bootstrap(solvers.ridge, codes, scores, fit, refits=5)
    assert refits.shape == (5, 2, 16)
    agreement = stability(refits, fit.weights).refits
    assert agreement[1] < agreement[0]


def test_one_refit_says_nothing() -> None:
    with pytest.raises(ValueError, match="at least 2 refits"):
        stability(torch.ones(1, 2, 4), torch.ones(2, 4))
