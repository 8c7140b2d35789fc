import pytest

from ifgan_pl.core.attributes import attribute_index
from ifgan_pl.core.errors import UserError


def test_synonyms_work_both_ways() -> None:
    assert attribute_index("gender", ["smile", "male"]) == 1
    assert attribute_index("male", ["smile", "gender"]) == 1
    assert attribute_index("pose", ["yaw", "pose"]) == 1  # the name itself goes before a synonym


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(UserError, match="unknown attribute 'beard'; known: smile, male"):
        attribute_index("beard", ["smile", "male"])
