"""Photographs: the faces in them, found, aligned, and put back."""

from ifgan_pl.photos.faces import Face, Photo, open_photo
from ifgan_pl.photos.write import save_photo

__all__ = ["Face", "Photo", "open_photo", "save_photo"]
