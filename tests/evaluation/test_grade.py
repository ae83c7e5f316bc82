"""The grade: 100 points in all, and a letter."""

import math
from collections.abc import Sequence
from typing import Any

import pytest

from hlx_model.evaluation.grade import grade, letter
from hlx_model.reporting.models import CurvePoint, GradeGiven, Report
from hlx_model.verdicts import GateResult
from tests.support.curriculum import Curriculum
from tests.support.reports import evaluation_of, parsed, phase_1, phase_3, rates

LOSSES = {"training_loss": 0.2, "held_out_loss": 0.3, "unigram_baseline": 3.2, "bigram_baseline": 2.4}
GATES = [GateResult("words", "pass", "", 0.9, 0.5, 500), GateResult("completions_parse", "pass", "", 0.8, 0.5, 128)]
GATES_OF_PHASE = {1: GATES[:1], 2: GATES[1:], 3: []}


def curve(losses: Sequence[float]) -> list[CurvePoint]:
    others = {"epoch": 1, "held_out_loss": None, "learning_rate": None, "tokens_per_second": None}
    return [CurvePoint.from_json({"step": step, "train_loss": loss} | others) for step, loss in enumerate(losses)]


FALLING = curve([4 / (1 + i) for i in range(40)])


def report(phase: int = 1, **figures: Any) -> Report:
    """Return a report with these losses and other figures."""
    content = phase_3() if phase == 3 else phase_1()
    return parsed(content | {"figures": content["figures"] | LOSSES | figures})


def graded(
    phase: int = 1, stopped: str | None = None, course: Sequence[CurvePoint] = FALLING, **figures: Any
) -> GradeGiven:
    return grade(report(phase, **figures).figures, GATES_OF_PHASE[phase], course, stopped)


def points(grade: GradeGiven) -> dict[str, float]:
    return {part.name: part.points for part in grade.parts}


def test_four_parts_make_a_hundred_points() -> None:
    parts = {part.name: part.of for part in graded().parts}
    assert parts == {"convergence": 30, "accuracy": 30, "format correctness": 20, "steady progress": 20}
    assert all(part.why for part in graded().parts)


def test_an_evaluation_comes_first_and_makes_three_tenths_of_the_points() -> None:
    metrics = report(3, all_to_hlx=rates(500, 500), all_to_english=rates(500, 500)).figures
    found = grade(metrics, [], FALLING, None, evaluation_of(rates(23, 100)))
    parts = {"evaluation": 30, "convergence": 20, "accuracy": 20, "format correctness": 15, "steady progress": 15}
    assert {part.name: part.of for part in found.parts} == parts
    assert points(found) == pytest.approx({**parts, "evaluation": 6.9}) and found.points == 76.9
    assert found.letter == "D"  # a C by its points
    assert "23.0% of 100 answers to new sentences are right" in found.parts[0].why
    # If every sentence is in training, it says nothing.
    known = grade(metrics, [], FALLING, None, evaluation_of(rates(0, 0)))
    assert len(known.parts) == 4 and (known.letter, known.capped) == ("A", None)


@pytest.mark.parametrize(
    ("held_out", "evaluation", "letter", "why"),
    [
        (rates(1, 8), None, "D", "12.5% of 8 answers to unseen sentences are right, English→HLX (required ≥ 50% "),
        (rates(255, 512), None, "D", "49.8% of 512 answers"),
        (rates(256, 512), None, "A", None),
        (rates(8, 8), rates(49, 100), "D", "49.0% of 100 answers"),
        (rates(8, 8), rates(50, 100), "B", None),
        (rates(1, 8), rates(50, 100), "C", None),  # the sentences of people count
        (rates(1, 8), rates(0, 0), "D", "12.5% of 8 answers"),
        (rates(0, 0), None, None, "nothing was held out: nothing shows what it does with other text"),
        (rates(0, 0), rates(50, 100), "D", None),  # by its points
    ],
)
def test_no_letter_above_d_if_half_of_unseen_sentences_are_wrong(
    held_out: dict[str, Any], evaluation: dict[str, Any] | None, letter: str | None, why: str | None
) -> None:
    metrics = report(3, all_to_hlx=held_out, all_to_english=rates(500, 500)).figures
    found = grade(metrics, [], FALLING, None, evaluation_of(evaluation) if evaluation else None)
    assert (found.letter, found.capped is None) == (letter, why is None)
    assert why is None or (found.capped or "").startswith(why)


@pytest.mark.parametrize(
    ("loss", "letter", "why"),
    [
        (1.2, "A", None),
        (2.2, "B", None),  # the mean of the unigram baseline and half of the bigram one
        (
            2.21,
            "D",
            "49.5% of the points for accuracy are given on test text (required ≥ 50% for a letter above D)",
        ),
        (2.5, "D", "35.0% of the points"),
        (math.nan, "D", None),  # by its points
    ],
)
@pytest.mark.parametrize("phase", [1, 2])
def test_held_out_text_caps_the_letter_of_phases_1_and_2(phase: int, loss: float, letter: str, why: str | None) -> None:
    found = graded(phase, held_out_loss=loss)
    assert found.letter == letter and (found.capped or "").startswith(why or "")
    assert (found.capped is None) == (why is None)
    without = graded(phase, held_out_loss=loss, held_out_tokens=0)
    assert (without.letter, without.capped) == (
        None,
        "nothing was held out: nothing shows what it does with other text",
    )
    assert without.points == found.points


def test_a_letter_that_the_points_do_not_reach_is_not_capped() -> None:
    metrics = report(3, all_to_hlx=rates(0, 8), all_to_english=rates(0, 8), training_loss=4.0).figures
    found = grade(metrics, [], FALLING, None)
    assert (found.letter, found.capped) == ("F", None)


@pytest.mark.parametrize(
    ("given", "expected"),
    [(100, "A"), (90, "A"), (89.9, "B"), (80, "B"), (79.9, "C"), (70, "C"), (60, "D"), (59.9, "F")],
)
def test_a_letter_begins_at_its_points(given: float, expected: str) -> None:
    assert letter(given) == expected


@pytest.mark.parametrize("part", ["convergence", "accuracy"])
@pytest.mark.parametrize(
    ("loss", "expected"), [(1.2, 30), (0.1, 30), (2.2, 15), (3.2, 0), (50, 0), (math.nan, 0), (math.inf, 0)]
)
def test_losses_count_from_the_unigram_baseline_to_half_the_bigram_one(part: str, loss: float, expected: float) -> None:
    figures: dict[str, Any] = {"training_loss" if part == "convergence" else "held_out_loss": loss}
    assert points(graded(**figures))[part] == pytest.approx(expected)


def test_phase_3_is_graded_by_exact_match_and_parse_rate() -> None:
    to_hlx = rates(400, 500) | {"parse_rate": 0.95}
    found = points(graded(3, all_to_hlx=to_hlx, all_to_english=rates(300, 500)))
    assert found["accuracy"] == pytest.approx(21) and found["format correctness"] == pytest.approx(19)


def test_format_correctness_of_phases_1_and_2_is_the_rate_of_a_gate() -> None:
    assert points(graded(1))["format correctness"] == pytest.approx(18)
    assert points(graded(2))["format correctness"] == pytest.approx(16)
    nothing = [GateResult("completions_parse", "warn", "nothing held out to ask")]
    assert points(grade(report().figures, nothing, FALLING, None))["format correctness"] == 0


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([4 / (1 + i) for i in range(40)], 20),
        ([4.0, *[1.0, 1.01] * 20], 20),  # the noise of a training that has come down
        ([float(i) for i in range(40)], 0),
        ([4, 3, 2, 3, 2, 1], 16),
        ([4, 3, math.nan], 10),
        ([4, 3], 20),
        ([4], 0),
        ([], 0),
    ],
)
def test_progress_is_steady_if_the_loss_does_not_rise(losses: list[float], expected: float) -> None:
    assert points(graded(course=curve(losses)))["steady progress"] == pytest.approx(expected)


def test_a_stopped_training_has_no_points_for_its_course() -> None:
    found = graded(stopped="training loss is nan at step 7")
    assert points(found)["convergence"] == points(found)["steady progress"] == 0
    assert "training loss is nan at step 7" in found.parts[0].why
    assert found.letter == "F"


@pytest.mark.parametrize("phase", [1, 2, 3])
def test_the_points_of_a_report_are_the_sum_of_its_parts(curriculum: Curriculum, phase: int) -> None:
    given = curriculum.phases[phase].evaluation.report.to_json()["grade"]
    assert given["points"] == pytest.approx(sum(part["points"] for part in given["parts"]))
    assert all(0 <= part["points"] <= part["of"] for part in given["parts"])
    assert given["capped"] or given["letter"] == letter(given["points"])
