import pytest

from ifgan_pl.core.attributes import attribute_index
from ifgan_pl.core.errors import UserError


def test_synonyms_work_both_ways() -> None:
    assert attribute_index("gender", ["smile", "male"]) == 1
    assert attribute_index("male", ["smile", "gender"]) == 1
    assert attribute_index("pose", ["yaw", "pose"]) == 1  # the name itself goes before a synonym


def test_capitals_do_not_matter_unless_they_tell_two_names_apart() -> None:
    assert attribute_index("Wavy_Hair", ["smile", "wavy_hair"]) == 1
    assert attribute_index("Smiling", ["smile", "wavy_hair"]) == 0
    assert attribute_index("a", ["A", "a"]) == 1


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(UserError, match="unknown attribute 'beard'; known: smile, male"):
        attribute_index("beard", ["smile", "male"])
