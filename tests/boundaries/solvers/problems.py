"""Codes and scores that several tests fit."""

import torch


def problem(count: int = 600, dim: int = 24, models: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Anisotropic codes away from the origin, and noisy linear scores: classes overlap."""
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(count, dim, generator=generator) * torch.logspace(0, -1.5, dim) + 1
    truth = torch.randn(models, dim, generator=generator) / torch.logspace(0, -1.5, dim)
    scores = codes @ truth.mT
    scores = (scores - scores.mean(0)) / scores.std(0) + torch.randn(count, models, generator=generator)
    return codes, scores
