"""A gate warns instead of failing if the model had too little to learn from, or too little is held out to tell."""

from dataclasses import dataclass, replace
from typing import cast

import pytest

from hlx_model.evaluation import downgrades
from hlx_model.evaluation.gates import GATES
from hlx_model.evaluation.measurements import Measurements, Predictions
from hlx_model.evaluation.prediction import Baselines, Prediction
from hlx_model.evaluation.spec import GateSpec
from hlx_model.evaluation.target import EvaluationTarget
from hlx_model.phases import PHASES, Writes
from hlx_model.verdicts import GateResult, Outcome

LONG = EvaluationTarget("name", 3, "tiny", "", {}, epoch=10, epochs=10, step=10_000)


def with_loss(loss: float, train_tokens: int = 500_000) -> Predictions:
    """Return predictions with this loss on held-out and on training text."""
    prediction = Prediction(loss, 0.0, 900)
    return Predictions(prediction, prediction, Baselines(3.18, 2.34, train_tokens))


LEARNED, UNLEARNED = with_loss(0.24), with_loss(1.95)


@dataclass
class Measured:
    """What the downgrades read of the measurements; healthy by default."""

    record: EvaluationTarget = LONG
    predictions: Predictions = LEARNED
    held_out_values: int | None = 100

    @property
    def writes(self) -> Writes:
        return PHASES[self.record.phase].writes


def evaluated(name: str, measured: Measured, result: Outcome = "fail") -> GateResult:
    """Return the result of a gate whose check gives the outcome `result`."""
    spec: GateSpec = replace(GATES[name], check=lambda m: GateResult(name, result, "its metric"))
    return downgrades.evaluate_gate(spec, cast(Measurements, measured))


def outcome(name: str, measured: Measured, result: Outcome = "fail") -> Outcome:
    """Return the outcome of a gate whose check gives the outcome `result`."""
    return evaluated(name, measured, result).outcome


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
    measured = Measured(replace(LONG, phase=phase, step=steps, epoch=1), with_loss(0.24, tokens))
    reason = downgrades.short_training_reason(cast(Measurements, measured))
    assert (reason is not None) == short
    assert reason is None or reason.startswith(f"{steps} steps and {tokens} tokens are too few")


@pytest.mark.parametrize(("loss", "excused"), [(1.93, False), (1.95, True), (float("nan"), True)])
def test_the_training_text_is_learned_below_the_limit_of_perplexity(loss: float, excused: bool) -> None:
    reason = downgrades.unlearned_reason(cast(Measurements, Measured(predictions=with_loss(loss, 4_000))))
    assert (reason is not None) == excused


def test_a_downgrade_adds_its_reason_to_a_failure_alone() -> None:
    short, healthy = Measured(replace(LONG, step=299)), Measured()
    assert evaluated("words", short).reason.startswith("its metric; only a warning, since 299 steps and ")
    assert evaluated("words", healthy) == GateResult("words", "fail", "its metric")
    assert evaluated("words", short, "pass") == GateResult("words", "pass", "its metric")
