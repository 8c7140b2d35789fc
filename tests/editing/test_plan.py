from ifgan_pl.editing.plan import Column, EditPlan, sweep


def labels(columns: list[Column]) -> list[str]:
    return [c.label for c in columns]


def test_a_sweep_has_the_original_in_its_place() -> None:
    assert labels(sweep("smile", -2, 2, 5)) == ["-2 std", "-1 std", "original", "+1 std", "+2 std"]
    assert labels(sweep("smile", -1, 2, 2, unit="latent")) == ["-1", "original", "+2"]
    assert labels(sweep("smile", 3, 1, 2)) == ["+3 std", "+1 std", "original"]
    assert labels(sweep("smile", -1, 1, 3, mode="to")) == ["original", "to -1 std", "to 0 std", "to +1 std"]


def test_an_animation_leaves_out_an_original_that_is_no_step() -> None:
    assert EditPlan(sweep("smile", -1, 1, 3), "").frames == [0, 1, 2]
    assert EditPlan(sweep("smile", -1, 1, 3, mode="to"), "", mode="to").frames == [1, 2, 3]
    two = [Column("original", {}), Column("edited", {"smile": 1.0})]
    assert EditPlan(two, "", mode="to").frames == [0, 1]


def test_file_names_hold_no_path() -> None:
    assert Column("", {"smile": 2.0, "age": -0.5}).slug == "smile+2_age-0.5"
    assert Column("", {"../a b": 1.0}).slug == "..-a-b+1"
    assert Column("original", {}).slug == "original"
