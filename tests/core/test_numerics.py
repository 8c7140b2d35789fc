"""The numerics record of a device."""

import json

import torch

from ifgan_pl.core.numerics import numerics_of


def test_the_record_names_what_decides_the_bits() -> None:
    record = numerics_of("cpu", torch.bfloat16, compiled="g++ 12").as_dict()
    assert record.pop("device")
    assert record.pop("torch") == torch.__version__.split("+")[0]
    assert record == {"dtype": "bfloat16", "micro_batch": [1, 1], "threads": 1, "compile": "g++ 12", "tf32": False}


def test_records_of_equal_settings_are_equal_also_after_json() -> None:
    record = numerics_of("cpu").as_dict()
    assert json.loads(json.dumps(record)) == record == numerics_of(torch.device("cpu")).as_dict()
    assert numerics_of("cpu", torch.bfloat16).as_dict() != record
