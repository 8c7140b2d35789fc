"""What tests of several stages need."""

from pathlib import Path

import pytest

from ifgan_pl.stages.invert import invert
from tests.photos.photographs import party


@pytest.fixture(scope="session")
def inverted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Photographs, and the folder of their inversions, made by one process in a step or two."""
    place = tmp_path_factory.mktemp("invert")
    photos = party(place / "party")
    invert(photos=[str(photos)], steps=(1, 1, 0, 1, 0), out=str(place / "one"), trainer={"accelerator": "cpu"})
    return photos, place / "one"
