from typing import Any

import pytest
import pytorch_lightning as pl

from ifgan_pl.core.errors import UserError
from ifgan_pl.core.trainer_flags import one_line_refusals


@pytest.mark.parametrize(
    "flags", [{"accelerator": "abacus"}, {"precision": "3-true"}, {"devices": "many"}, {"nodes": 2}]
)
def test_flags_that_no_trainer_takes_are_one_line(flags: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="the Trainer refuses its flags"), one_line_refusals():
        pl.Trainer(**flags)


def test_a_user_s_error_stays_as_it_is() -> None:
    with pytest.raises(UserError, match=r"^mine$"), one_line_refusals():
        raise UserError("mine")
