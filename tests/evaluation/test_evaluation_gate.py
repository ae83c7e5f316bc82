"""The gate `evaluation`: new sentences of evaluation documents must be translated rightly."""

import pytest

from hlx_model.evaluation.fitness import Requirements
from hlx_model.evaluation.gates import evaluation
from hlx_model.verdicts import Outcome
from tests.support.reports import evaluation_of, rates

QUICK, BY_HEART = (Requirements("quick").fitness(by_heart=by_heart) for by_heart in (False, True))


@pytest.mark.parametrize(
    ("exact", "profile", "outcome"),
    [
        (34, "quick", "fail"), (35, "quick", "warn"), (50, "quick", "pass"),
        (79, "production", "fail"), (80, "production", "pass"),
    ],
)  # fmt: skip
def test_new_sentences_of_an_evaluation_must_be_right(exact: int, profile: str, outcome: Outcome) -> None:
    fitness = Requirements(profile).fitness(by_heart=False)
    gate = evaluation.evaluation(evaluation_of(rates(exact, 100)), expected=True, fitness=fitness)
    assert (gate.outcome, gate.value, gate.samples) == (outcome, exact / 100, 100)
    assert f"right on new sentences of exam.md {exact}.0%" in gate.reason


def test_without_an_evaluation_document_it_warns_only_if_one_is_expected() -> None:
    missing = evaluation.evaluation(None, expected=True, fitness=QUICK)
    assert missing.outcome == "warn" and missing.reason.startswith("no evaluation document")
    assert evaluation.evaluation(None, expected=False, fitness=QUICK).outcome == "pass"


def test_an_evaluation_of_known_sentences_and_one_by_heart_only_warn() -> None:
    known = evaluation.evaluation(evaluation_of(rates(0, 0)), expected=True, fitness=QUICK)
    by_heart = evaluation.evaluation(evaluation_of(rates(0, 100)), expected=True, fitness=BY_HEART)
    assert (known.outcome, by_heart.outcome) == ("warn", "warn")
    assert "every sentence of the evaluation is in training" in known.reason
