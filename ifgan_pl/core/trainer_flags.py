"""What a Trainer refuses, in one line."""

from collections.abc import Iterator
from contextlib import contextmanager

from lightning_fabric.utilities.exceptions import MisconfigurationException

from ifgan_pl.core.errors import UserError


@contextmanager
def one_line_refusals() -> Iterator[None]:
    """Around the making of a Trainer: flags that it refuses, such as a device that is not there, are a UserError."""
    try:
        yield
    except (MisconfigurationException, ImportError, TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"the Trainer refuses its flags: {error}") from None
