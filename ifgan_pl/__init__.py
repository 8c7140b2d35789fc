"""ifgan_pl: linear semantics in the latent space of a face generator, found, trusted and used for editing."""

__version__ = "0.1.0"
