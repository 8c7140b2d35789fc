"""ifgan_pl: linear semantics in the latent space of a face generator, found, trusted and used for editing."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Editor", "FacialAttributeScorer", "LinearBoundary", "fit_boundary", "load_generator", "load_scorer"]

if TYPE_CHECKING:
    from ifgan_pl.boundary import LinearBoundary
    from ifgan_pl.editor import Editor
    from ifgan_pl.fit import fit_boundary
    from ifgan_pl.generators import load_generator
    from ifgan_pl.scorer import FacialAttributeScorer, load_scorer

HOMES = {
    "Editor": "editor",
    "FacialAttributeScorer": "scorer",
    "LinearBoundary": "boundary",
    "fit_boundary": "fit",
    "load_generator": "generators",
    "load_scorer": "scorer",
}


def __getattr__(name: str) -> Any:
    """Public names are imported when first used: ``ifgan_pl.functional`` alone needs no Lightning."""
    if name not in HOMES:
        raise AttributeError(f"module 'ifgan_pl' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"ifgan_pl.{HOMES[name]}"), name)
