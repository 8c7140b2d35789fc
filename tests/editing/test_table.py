from ifgan_pl.editing.plan import Column, EditPlan, Subject, sample
from ifgan_pl.editing.table import captions, table_row

PLAN = EditPlan([Column("original", {}), Column("edited", {"gender": 2.0})], "")
SCORES = [[0.0, 1.0], [0.5, -1.25]]
NOTES = [{"identity": "1.0000"}, {"identity": "0.8125"}]


def test_a_row_has_the_scores_before_and_after_and_the_notes() -> None:
    row = table_row(sample(7), PLAN, 1, "a.png", ["smile", "male"], SCORES, NOTES)
    assert row == {
        "index": 7,
        "column": "edited",
        "edit": '{"gender": 2.0}',
        "file": "a.png",
        "before_smile": "0.0000",
        "before_male": "1.0000",
        "after_smile": "0.5000",
        "after_male": "-1.2500",
        "identity": "0.8125",
    }
    assert list(table_row(sample(7), PLAN, 1, "", [], None, None)) == ["index", "column", "edit", "file"]
    photo = Subject({"photo": "me.jpg", "face": 0, "digest": "ab"}, "faces/me-0", "me 0")
    assert list(table_row(photo, PLAN, 0, "", [], None, None))[:3] == ["photo", "face", "column"]


def test_captions_tell_of_identity_and_of_what_is_edited() -> None:
    assert captions(PLAN, ["smile", "male"], SCORES, NOTES) == [
        "identity 1.0000, male +1.0",
        "identity 0.8125, male -1.2",
    ]
    assert captions(PLAN, [], None, NOTES) == ["identity 1.0000", "identity 0.8125"]
    assert captions(PLAN, ["smile", "male"], SCORES, None) is None
    assert captions(PLAN, ["smile", "male"], SCORES, [{"other": 1}] * 2) is None
