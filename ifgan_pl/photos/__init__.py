"""Photographs: the faces in them, found, aligned, inverted into a generator's codes, and put back."""

from ifgan_pl.photos.faces import Face, Photo, open_photo
from ifgan_pl.photos.inversion import Inversion, Inverter
from ifgan_pl.photos.write import save_photo

__all__ = ["Face", "Inversion", "Inverter", "Photo", "open_photo", "save_photo"]
