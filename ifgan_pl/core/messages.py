"""What a command tells the user: once, whatever the number of processes."""

from pytorch_lightning.utilities import rank_zero_only


def is_rank_zero() -> bool:
    """Whether this process speaks for all."""
    return int(getattr(rank_zero_only, "rank", 0)) == 0


def say(message: str) -> None:
    """Tell the user, once."""
    if is_rank_zero():
        print(message, flush=True)
