"""Which faces to ask about."""

import pytest
import torch

from ifgan_pl.attributes.head import auroc, fit_head
from ifgan_pl.attributes.suggest import suggest
from ifgan_pl.core.errors import UserError
from tests.attributes.toys import make_answers, make_faces


def test_without_a_head_they_are_random_and_none_is_asked_twice() -> None:
    faces, has, _ = make_faces(200)
    first = suggest(faces, 24)
    assert len(set(first)) == 24
    assert first == suggest(faces, 24)
    second = suggest(faces, 24, answers={i: float(has[i]) for i in first})
    assert not set(first) & set(second)
    assert set(suggest(faces, 5, among=[1, 2, 3, 4, 5])) == {1, 2, 3, 4, 5}
    with pytest.raises(UserError, match="5 faces wanted, 4 have no answer yet"):
        suggest(faces, 5, among=[1, 2, 3, 4])


def test_a_rare_answer_is_found_and_heads_get_better_faster() -> None:
    faces, _, normal = make_faces(4000)
    assert faces.codes is not None
    has = faces.codes @ normal > 1.6  # about one in twenty
    answers = make_answers(has, range(100))
    assert 2 < sum(answers.values()) < 10
    answers |= {i: 1.0 for i in range(100, 3000) if has[i] and sum(answers.values()) < 6}
    for _ in range(4):
        head = fit_head(faces, answers)
        chosen = suggest(faces, 25, answers=answers, head=head, among=range(3000))
        answers |= {i: float(has[i]) for i in chosen}
    assert sum(answers.values()) > 40
    active = fit_head(faces, answers)
    plain = fit_head(faces, make_answers(has, range(len(answers))))
    assert auroc(active.scores(faces)[3000:], has[3000:]) > auroc(plain.scores(faces)[3000:], has[3000:])


def test_numbers_are_asked_about_too() -> None:
    faces, _, normal = make_faces(300)
    assert faces.codes is not None
    values = faces.codes @ normal
    answers = {i: float(values[i]) for i in range(40)}
    chosen = suggest(faces, 12, answers=answers, head=fit_head(faces, answers))
    assert len(set(chosen)) == 12
    assert not set(chosen) & set(answers)
    assert torch.tensor(chosen).max() < 300
