"""ifgan_pl: linear semantics in the latent space of a face generator, found, trusted and used for editing."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Editor", "FacialAttributeScorer", "LinearBoundary", "fit_boundary", "load_generator", "load_scorer"]

if TYPE_CHECKING:
    from ifgan_pl.boundaries.boundary import LinearBoundary
    from ifgan_pl.boundaries.fit import fit_boundary
    from ifgan_pl.editing.editor import Editor
    from ifgan_pl.generators import load_generator
    from ifgan_pl.scorer.loading import load_scorer
    from ifgan_pl.scorer.module import FacialAttributeScorer

HOMES = {
    "Editor": "editing.editor",
    "FacialAttributeScorer": "scorer.module",
    "LinearBoundary": "boundaries.boundary",
    "fit_boundary": "boundaries.fit",
    "load_generator": "generators",
    "load_scorer": "scorer.loading",
}


def __getattr__(name: str) -> Any:
    """Public names are imported when first used: ``ifgan_pl.functional`` alone needs no Lightning."""
    if name not in HOMES:
        raise AttributeError(f"module 'ifgan_pl' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"ifgan_pl.{HOMES[name]}"), name)
