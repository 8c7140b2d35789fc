import hashlib

import pytest

from ifgan_pl.generators.sampling import sample_z


def test_a_sample_is_a_function_of_seed_and_index() -> None:
    whole = sample_z(range(600), 16, seed=3)
    assert (sample_z([599, 0, 256, 0], 16, seed=3) == whole[[599, 0, 256, 0]]).all()
    assert not (sample_z(range(600), 16, seed=4) == whole).any()


def test_the_stream_never_changes() -> None:
    digest = hashlib.sha256(sample_z(range(250, 260), 512, seed=0).numpy().tobytes()).hexdigest()
    assert digest[:16] == "47a5b4f4a36e89de"


def test_negative_indices_and_seeds_are_refused() -> None:
    with pytest.raises(ValueError, match="indices"):
        sample_z([-1], 4)
    with pytest.raises(ValueError, match="seed"):
        sample_z([0], 4, seed=-1)
