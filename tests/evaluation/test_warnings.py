"""A warning shows the limit that was missed: its figure is never better than its threshold."""

import operator
import re

import pytest

from hlx_model.corpus.gates import Count, coverage_gate, quarantine_gate
from hlx_model.corpus.split import Split
from hlx_model.evaluation.detectors import Outputs
from hlx_model.evaluation.fitness import Requirements
from hlx_model.evaluation.gates import broken_texts, learning, limits, training_record
from hlx_model.evaluation.prediction import Prediction
from hlx_model.evaluation.rate_gate import not_required, rate_gate, worst_format_gate
from hlx_model.evaluation.target import EpochMeasurements
from hlx_model.evaluation.thresholds import T
from hlx_model.verdicts import GateResult, Limit, Outcome, against

GOOD = Limit(required=0.5, good=0.8)


def epoch(loss: float, *, step: int, train_tokens: int) -> EpochMeasurements:
    """Return the measurements of a model with this validation loss, the unigram baseline at 3 nats."""
    return EpochMeasurements(
        epoch=10, epochs=10, step=step, held_out=Prediction(loss, 0.0, 900), training=Prediction(0.2, 0.0, 900),
        reported_loss=0.2, best_loss=min(loss, 3.5), initial_loss=4.8, unigram=3.0, train_tokens=train_tokens,
        size="tiny",
    )  # fmt: skip


def rows(split: Split, number: int) -> Count:
    return Count(of="all", name="rows", split=split, rows=number)


LOW, HIGH = operator.lt, operator.gt
WARNINGS = {
    "a rate": (rate_gate("words", "words", 60, 100, GOOD), LOW, "good ≥ 80% missed, required ≥ 50%"),
    "broken texts": (
        broken_texts.broken_texts("scrambled", "scrambled", Outputs("answers", [("x", "scrambled")] * 2, 20), 0.5),
        HIGH, "good ≤ 5% missed, required ≤ 50%",
    ),
    "next-token loss": (learning.next_token_loss(epoch(6.0, step=400, train_tokens=3500)), HIGH, "required < 5.26"),
    "unigram, few steps": (learning.unigram(epoch(3.5, step=299, train_tokens=10**6)), HIGH, "before step 300"),
    "unigram, few tokens": (
        learning.unigram(epoch(3.5, step=400, train_tokens=3500)), HIGH,
        "fewer than 100,000 training tokens (3,500)",
    ),
    "coverage": (
        coverage_gate([rows(Split.TRAIN, 100), rows(Split.VALIDATION, 3), rows(Split.TEST, 2)]), LOW,
        "3 rows in validation (and 1 more), wanted ≥ 30",
    ),
    "quarantine": (quarantine_gate(1, 50, 0.05), HIGH, "(2.0%; good ≤ 0% missed, required ≤ 5%)"),
}  # fmt: skip


@pytest.mark.parametrize("name", WARNINGS)
def test_a_warning_shows_the_limit_that_was_missed(name: str) -> None:
    gate, worse, said = WARNINGS[name]
    assert gate.outcome == "warn" and said in gate.reason
    assert gate.value is not None and gate.threshold is not None and worse(gate.value, gate.threshold)


@pytest.mark.parametrize(
    "gate",
    [
        not_required("exact_match_to_hlx", "exact match", 8, 8, "learned by heart"),
        training_record.training_completed("EPOCH", 8, 8, None),
        training_record.training_completed("STOPPED", 8, 8, "training loss nan"),
        worst_format_gate("parse_rate", "parse rate", [], GOOD),
        limits.limits(Requirements("quick", {"evaluation": 0.2}).fitness(by_heart=False)),
    ],
    ids=lambda gate: gate.name,
)
def test_a_warning_that_no_figure_caused_has_no_threshold(gate: GateResult) -> None:
    assert gate.outcome != "pass" and gate.threshold is None


def test_an_intermediate_checkpoint_of_the_last_epoch_is_told_what_it_lacks() -> None:
    gate = training_record.training_completed("LAST", 8, 8, None)
    assert gate.reason == "intermediate checkpoint: LAST, epoch 8 of 8, required FINAL"


def test_a_rate_of_no_samples_is_not_stated() -> None:
    gate = not_required("evaluation", "right on new sentences", 0, 0, "every sentence is in training")
    assert (gate.reason, gate.value, gate.interval) == ("every sentence is in training", None, None)


@pytest.mark.parametrize(
    ("rate", "at_most", "outcome", "threshold", "shown"),
    [
        (0.9, False, "pass", 0.5, "90.0%"),
        (0.6, False, "warn", 0.8, "60.0%"),
        (0.4, False, "fail", 0.5, "40.0%"),
        (0.7996, False, "warn", 0.8, "79.96%"),  # 80.0% would be good
        (0.49999, False, "fail", 0.5, "49.999%"),
        (0.8, False, "pass", 0.5, "80.0%"),
        (0.8004, True, "fail", 0.8, "80.04%"),
        (0.5004, True, "warn", 0.5, "50.04%"),
        (0.5, True, "pass", 0.8, "50.0%"),
        (float("nan"), False, "fail", 0.5, "nan%"),
    ],
)
def test_a_rate_shows_on_which_side_of_its_limits_it_is(
    rate: float, at_most: bool, outcome: Outcome, threshold: float, shown: str
) -> None:
    required, good = (0.8, 0.5) if at_most else (0.5, 0.8)
    found = against(rate, required, good, at_most=at_most)
    assert (found.outcome, found.threshold, found.rate) == (outcome, threshold, shown)


def test_a_limit_is_written_as_precisely_as_it_is() -> None:
    """35.6% is below 35.64%, and would not be below 36%."""
    assert against(0.356, 0.3564).limits == "required ≥ 35.64%"
    gate = limits.limits(Requirements("quick", {"evaluation": 0.349}).fitness(by_heart=False))
    assert gate.reason.endswith("evaluation 34.9% (quick 35%)")
    assert against(0.07, 0.07).limits == "required ≥ 7%"


def test_the_best_loss_is_named_as_such_if_it_is_what_counts() -> None:
    gate = learning.next_token_loss(epoch(5.0, step=400, train_tokens=10**6))
    assert gate.outcome == "pass" and gate.value == 3.5
    assert re.match(r"validation loss 3\.50 nats at best \(5\.00 now\) after 400 steps, required < 4\.76 ", gate.reason)


def test_a_scrambled_share_within_the_good_limit_passes() -> None:
    few = Outputs("answers", [("x", "scrambled")], 20)
    gate = broken_texts.broken_texts("scrambled", "scrambled", few, T.max_scrambled_share)
    assert (gate.outcome, gate.threshold) == ("pass", 0.5) and "required ≤ 50%, good ≤ 5%" in gate.reason
