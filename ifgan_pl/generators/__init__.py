"""Face generators: one file a family, one protocol (:mod:`.base`), and one way to load any of them."""

from ifgan_pl.generators.base import SPACES, Generator, edit_space
from ifgan_pl.generators.loading import EMBEDDED, load_generator

__all__ = ["EMBEDDED", "SPACES", "Generator", "edit_space", "load_generator"]
