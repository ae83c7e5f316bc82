"""A gate warns instead of failing if the model had too little to learn from, or too little is held out to tell."""

from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from hlx_model.evaluation import downgrades
from hlx_model.evaluation.gates import GATES
from hlx_model.evaluation.measurements import Measurements, Predictions
from hlx_model.evaluation.prediction import Baselines, Prediction
from hlx_model.evaluation.spec import GateSpec
from hlx_model.evaluation.target import EvaluationTarget
from hlx_model.evaluation.thresholds import Thresholds
from hlx_model.verdicts import GateResult, Outcome

T = Thresholds()
LONG = EvaluationTarget("name", 3, "tiny", "", {}, epoch=10, epochs=10, step=10_000)
LEARNED, UNLEARNED = (
    Predictions(Prediction(loss, 0.0, 900), Prediction(loss, 0.0, 900), Baselines(3.18, 2.34, 500_000))
    for loss in (0.24, 1.95)
)


@dataclass
class Measured:
    """What the downgrades read of the measurements; healthy by default."""

    record: EvaluationTarget = LONG
    predictions: Predictions = LEARNED
    held_out_values: int | None = 100
    thresholds: Thresholds = field(default_factory=Thresholds)


def outcome(name: str, measured: Measured, result: Outcome = "fail") -> Outcome:
    """Return the outcome of a gate whose check gives `result`."""
    spec: GateSpec = replace(GATES[name], check=lambda m: GateResult(name, result, "its metric"))
    return downgrades.evaluate_gate(spec, cast(Measurements, measured)).outcome


def warned_by(measured: Measured) -> set[str]:
    """Return the gates that would fail, and only warn."""
    return {name for name in GATES if outcome(name, measured) == "warn"}


WRITING = {
    "words", "completions_parse", "parse_rate", "exact_match_to_hlx", "exact_match_to_english", "training_pairs",
    "standard_prompts", "collapse", "scrambled",
}  # fmt: skip
TRANSLATING = {"exact_match_to_hlx", "exact_match_to_english"}


def test_a_healthy_training_is_excused_from_nothing() -> None:
    assert warned_by(Measured()) == set()


def test_a_model_that_has_not_learned_its_training_text_need_not_write() -> None:
    assert warned_by(Measured(predictions=UNLEARNED)) == WRITING


def test_a_short_training_need_not_have_learned_its_corpus() -> None:
    assert warned_by(Measured(replace(LONG, step=299))) == WRITING | {"perplexity", "not_forgotten"}


def test_a_training_on_too_few_pairs_need_not_translate() -> None:
    assert warned_by(Measured(replace(LONG, epoch=5))) == TRANSLATING


def test_a_stopped_training_is_not_excused_as_short() -> None:
    assert warned_by(Measured(replace(LONG, step=5, stopped="loss is nan"))) == set()


def test_weights_without_a_record_are_not_excused_as_short() -> None:
    assert warned_by(Measured(EvaluationTarget("model.pt", 3, "tiny", "", {}))) == set()


def test_with_few_held_out_values_a_good_rate_warns_too() -> None:
    few = Measured(held_out_values=35)
    generalizing = {"completions_parse", "parse_rate", *TRANSLATING, "standard_prompts"}
    assert warned_by(few) == generalizing | {"not_forgotten"}
    assert {name for name in GATES if outcome(name, few, "pass") == "warn"} == generalizing


@pytest.mark.parametrize(
    ("phase", "steps", "tokens", "short"),
    [(1, 300, 300_000, False), (1, 299, 9_000_000, True), (2, 9_000, 299_999, True), (3, 9_000, 400_000, True)],
)
def test_a_training_is_short_by_its_steps_or_by_its_tokens(phase: int, steps: int, tokens: int, short: bool) -> None:
    reason = downgrades.short_training_reason(replace(LONG, phase=phase, step=steps), tokens, T)
    assert (reason is not None) == short
    assert reason is None or reason.startswith(f"{steps} steps and {tokens} tokens are too few")


@pytest.mark.parametrize(("loss", "excused"), [(1.93, False), (1.95, True), (float("nan"), True)])
def test_the_training_text_is_learned_below_the_limit_of_perplexity(loss: float, excused: bool) -> None:
    reason = downgrades.unlearned_reason(Prediction(loss, 0.0, 900), Baselines(3.18, 2.34, 4_000), T)
    assert (reason is not None) == excused


def test_a_downgrade_adds_its_reason_to_a_failure_alone() -> None:
    failed, passed = (GateResult("words", outcome, "its metric") for outcome in ("fail", "pass"))
    assert downgrades.downgraded(failed, "it is short").reason == "its metric; only a warning, since it is short"
    assert downgrades.downgraded(failed, None) is failed
    assert downgrades.downgraded(passed, "it is short") is passed
