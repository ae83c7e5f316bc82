"""The result of one gate, and the interval of a rate."""

import json
import math

import pytest
from pydantic import TypeAdapter

from hlx_model.evaluation.intervals import wilson
from hlx_model.verdicts import GateResult, Outcome, worst


@pytest.mark.parametrize(
    ("successes", "samples", "low", "high"),
    [
        # Newcombe 1998 (Statistics in Medicine 17:857), table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (10, 10, 0.7225, 1.0),
        (0, 0, 0.0, 1.0),
    ],
)
def test_the_interval_is_wilsons(successes: int, samples: int, low: float, high: float) -> None:
    assert wilson(successes, samples) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [(["pass", "warn", "fail"], "fail"), (["warn", "pass"], "warn"), (["pass", "pass"], "pass"), ([], "pass")],
)
def test_the_worst_gate_decides(outcomes: list[Outcome], expected: Outcome) -> None:
    assert worst(GateResult("words", outcome, "") for outcome in outcomes) == expected


RESULT = TypeAdapter(GateResult)


@pytest.mark.parametrize("value", [0.25, None, math.inf, -math.inf])
def test_a_gate_survives_json(value: float | None) -> None:
    gate = GateResult("words", "warn", "half of them", value, 0.5, 40, (0.1, 0.4))
    assert RESULT.validate_python(json.loads(json.dumps(gate.to_json(), allow_nan=False))) == gate


def test_a_value_of_nan_survives_json() -> None:
    text = json.dumps(GateResult("words", "fail", "", math.nan).to_json(), allow_nan=False)
    value = RESULT.validate_python(json.loads(text)).value
    assert value is not None and math.isnan(value)
