"""The settings of a training, their bounds, and the id made from them."""

import math
from dataclasses import fields, replace
from typing import Any

import pytest

from hlx_model.training.settings import Settings, training_id

SETTINGS = Settings(phase=2, size="tiny", epochs=10, batch_size=8, seq_length=256, learning_rate=1e-3)
CORPORA = {"english_corpus": "11", "hlx_corpus": "22"}


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("phase", 0, "1, 2 or 3"),
        ("phase", 4, "1, 2 or 3"),
        ("epochs", 0, "at least 1"),
        ("batch_size", 0, "at least 1"),
        ("seq_length", 2, "3 to 512, the model's positions"),
        ("seq_length", 513, "3 to 512, the model's positions"),
        ("learning_rate", 0.0, "above 0"),
        ("learning_rate", -1.0, "above 0"),
        ("learning_rate", math.nan, "above 0"),
        ("learning_rate", math.inf, "above 0"),
        ("optimizer", "sgd", "adamw or muon"),
        ("replay", 0.6, "0 to 0.5"),
        ("replay", -0.1, "0 to 0.5"),
        ("warmup", 1.0, "0 up to 1"),
        ("weight_decay", 1.0, "0 up to 1"),
        ("clip", 0.0, "above 0"),
        ("seed", -1, "0 up to 2^63"),
        ("seed", 2**63, "0 up to 2^63"),
    ],
)
def test_a_setting_out_of_bounds_is_refused_with_its_name_and_value(
    name: str, value: float | str, allowed: str
) -> None:
    with pytest.raises(ValueError) as error:
        replace(SETTINGS, **{name: value})  # type: ignore[arg-type]
    assert str(error.value) == f"{name} is {value}: it must be {allowed}"


def test_an_unknown_size_is_refused_and_the_known_are_listed() -> None:
    with pytest.raises(ValueError, match="size is '20m': choose one of tiny, 10m"):
        replace(SETTINGS, size="20m")


def test_the_same_inputs_give_the_same_training() -> None:
    name = training_id(SETTINGS.to_json(), CORPORA, "parent")
    assert name == training_id(replace(SETTINGS).to_json(), dict(reversed(CORPORA.items())), "parent")
    assert len(name) == 16 and int(name, 16) >= 0


def test_every_changed_input_gives_another_training() -> None:
    others: dict[str, Any] = {
        "phase": 3, "size": "10m", "epochs": 11, "batch_size": 9, "seq_length": 128, "learning_rate": 2e-3, "seed": 1,
        "replay": 0.1, "mixed_precision": True, "optimizer": "muon", "warmup": 0.1, "weight_decay": 0.1, "clip": 2.0,
        "prompt_weight": 0.5, "english_weight": 0.5, "document_weight": 0.2,
    }  # fmt: skip
    assert others.keys() == {field.name for field in fields(Settings)}
    names = [
        training_id(SETTINGS.to_json(), CORPORA, "parent"),
        training_id(SETTINGS.to_json(), CORPORA, "another parent"),
        training_id(SETTINGS.to_json(), CORPORA, None),
        training_id(SETTINGS.to_json(), {**CORPORA, "hlx_corpus": "23"}, "parent"),
        training_id(SETTINGS.to_json(), {"hlx_corpus": "22"}, "parent"),
        training_id(SETTINGS.to_json(), CORPORA, "parent", ("a/b",)),
        *(training_id(SETTINGS.to_json(), CORPORA, "parent", attempt=attempt) for attempt in (2, 3)),
        *(training_id({**SETTINGS.to_json(), name: value}, CORPORA, "parent") for name, value in others.items()),
    ]
    assert len(set(names)) == len(names)


def test_the_first_attempt_has_the_id_of_a_training_without_attempts() -> None:
    assert training_id(SETTINGS.to_json(), CORPORA, "parent") == "20b18217ec4ffe2f"
    assert training_id(SETTINGS.to_json(), CORPORA, "parent", attempt=1) == "20b18217ec4ffe2f"
