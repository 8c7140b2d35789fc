"""Names of attributes: one list, one table of synonyms, one error that names what is known."""

from collections.abc import Sequence

from ifgan_pl.core.errors import UserError

SYNONYMS = {"gender": "male", "pose": "yaw", "smiling": "smile"}
"""The paper's or CelebA's name of an attribute -> ours; both are accepted wherever a name is."""


def canonical(name: str) -> str:
    """By which names are compared: ``gender`` -> ``male``, ``Wavy_Hair`` -> ``wavy_hair``."""
    return SYNONYMS.get(name.lower(), name.lower())


def attribute_index(name: str, attributes: Sequence[str], *, what: str = "attribute") -> int:
    """Position of ``name``, or of its synonym, in ``attributes``.

    Raises:
        UserError: no such attribute; the message lists those there are.
    """
    names = list(attributes)
    if name in names:
        return names.index(name)
    known = [canonical(n) for n in names]
    if canonical(name) in known:
        return known.index(canonical(name))
    raise UserError(f"unknown {what} {name!r}; known: {', '.join(names)}")
