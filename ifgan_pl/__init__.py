"""ifgan_pl: linear semantics in the latent space of a face generator, found, trusted and used for editing."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = [
    "Editor",
    "FacialAttributeScorer",
    "LinearBoundary",
    "attributes_from_labels",
    "features_of_samples",
    "fit_boundary",
    "fit_head",
    "load_generator",
    "load_scorer",
    "suggest",
]

if TYPE_CHECKING:
    from ifgan_pl.attributes.faces import features_of_samples
    from ifgan_pl.attributes.head import fit_head
    from ifgan_pl.attributes.learn import attributes_from_labels
    from ifgan_pl.attributes.suggest import suggest
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
    "attributes_from_labels": "attributes.learn",
    "features_of_samples": "attributes.faces",
    "fit_boundary": "boundaries.fit",
    "fit_head": "attributes.head",
    "load_generator": "generators",
    "load_scorer": "scorer.loading",
    "suggest": "attributes.suggest",
}


def __getattr__(name: str) -> Any:
    """Public names are imported when first used: ``ifgan_pl.functional`` alone needs no Lightning."""
    if name not in HOMES:
        raise AttributeError(f"module 'ifgan_pl' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"ifgan_pl.{HOMES[name]}"), name)
