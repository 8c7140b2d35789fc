"""Find what ships with the package (configs, checkpoints) by name, from a checkout or from an installed wheel."""

from pathlib import Path

from ifgan_pl.errors import UserError

PACKAGE = Path(__file__).resolve().parent
PLACES = (PACKAGE, PACKAGE.parent)
"""A wheel carries ``configs`` and ``checkpoints`` inside the package; a checkout has them beside it."""


def resource(path: str | Path) -> Path:
    """A shipped file such as ``checkpoints/scorer-faces.ckpt``, as a path on disk; see also :func:`find`.

    Raises:
        FileNotFoundError: it does not ship.
    """
    for place in PLACES:
        if (place / path).exists():
            return place / path
    raise FileNotFoundError(f"{path} does not ship with ifgan_pl")


def find(name: str | Path, folder: str, suffixes: tuple[str, ...]) -> Path:
    """A user's file, or a shipped one by its name: ``ffhq-mobile-w`` and ``checkpoints/ffhq-mobile-w.safetensors``.

    Args:
        name: a path on disk (looked up first), a shipped path, or the bare name of a shipped file.
        folder: where shipped files of this sort are, e.g. ``checkpoints``.
        suffixes: endings to try after a bare name.

    Raises:
        UserError: nothing of that name; the message lists what ships.
    """
    if Path(name).is_file():
        return Path(name)
    candidates = [str(name), *(f"{folder}/{name}{suffix}" for suffix in ("", *suffixes))]
    for place in PLACES:
        for candidate in candidates:
            if (place / candidate).is_file():
                return place / candidate
    shipped = sorted({f.stem for p in PLACES for s in suffixes for f in (p / folder).glob(f"*{s}")})
    raise UserError(f"no such file: {name} (shipped: {', '.join(shipped) or 'none'})")
