"""The grade of a checkpoint: 100 points in four or five parts, and a letter.

Each part follows from one metric that a report contains anyway. It has the first number of points if the model was
evaluated on new sentences of an evaluation document, else the second one:

- evaluation, 30 or 0: the share of those sentences that are right, English→HLX.
- convergence, 20 or 30: the loss on training text. No points at the unigram baseline or above, all of them at half of
  the bigram baseline or below; healthy quick runs end at a tenth to a third of it. None if the training was stopped.
- accuracy, 20 or 30: on test text. The mean of the exact match in both directions if the model translates; else the
  test loss, measured as for convergence.
- format correctness, 15 or 20: the parse rate of answers in HLX, or of completions in the format with the lowest rate,
  or the share of written words that are words of the corpus: what the phase writes.
- steady progress, 15 or 20: the training losses in ten equal parts, by their means. The points are the share of the
  nine steps from one part to the next at which the loss does not rise by more than 2% of its whole fall. None if the
  training was stopped, or if no losses were recorded.

The letter follows from the points: A from 90, B from 80, C from 70, D from 60, else F. But what is right on text that
the model has not seen caps it. Below a half no letter above D is given, and if nothing was held out none at all; the
points stay as they are. What counts is

- of a model that translates: the share of right English→HLX answers, to new sentences of evaluation documents, else to
  test sentences, however few these are;
- of other models: the share of the points for accuracy. It is a half if the test loss is the mean of the unigram
  baseline and of half the bigram one.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from hlx_model.reporting.conclusion import MIN_UNSEEN, NOTHING_HELD_OUT, unseen_answers
from hlx_model.reporting.models import (
    CurvePoint,
    EvaluationFigures,
    Figures,
    GradeGiven,
    GradePart,
    Letter,
    PartName,
    TranslationFigures,
)
from hlx_model.verdicts import GateResult, against

LETTERS: tuple[tuple[Letter, float], ...] = (("A", 90.0), ("B", 80.0), ("C", 70.0), ("D", 60.0))
"""Letters with the points from which each is given; F below."""
FORMAT_GATES = {
    "words": "written words are words of the corpus",
    "completions_parse": "completions parse, in the worst format",
}
"""The gates that measure how well formed a text is that is no translation, and what their rate says."""
CAP: Letter = "D"
"""The best letter if less than `MIN_UNSEEN` is right on unseen text."""
_POINTS: Mapping[PartName, int] = {
    "convergence": 30, "accuracy": 30, "format correctness": 20, "steady progress": 20,
}  # fmt: skip
_POINTS_IF_EVALUATED: Mapping[PartName, int] = {
    "evaluation": 30, "convergence": 20, "accuracy": 20, "format correctness": 15, "steady progress": 15,
}  # fmt: skip
_PARTS = 10
_MAX_RISE = 0.02
_LEARNED = 0.5


class _Share(NamedTuple):
    """The share of its points that a part has, and why."""

    share: float
    why: str


def grade(
    metrics: Figures, gates: Sequence[GateResult], curve: Sequence[CurvePoint], stopped: str | None,
    evaluation: EvaluationFigures | None = None,
) -> GradeGiven:  # fmt: skip
    """Return the grade that follows from a report.

    Args:
        metrics: the report's metrics.
        gates: the results of the gates.
        curve: the records of the training.
        stopped: why the training was stopped; None if nothing stopped it.
        evaluation: what was right on evaluation documents, if there were some.
    """
    shares: dict[PartName, _Share] = {
        "convergence": _convergence(metrics, stopped),
        "accuracy": _accuracy(metrics),
        "format correctness": _format_correctness(metrics, gates),
        "steady progress": _steady_progress(curve, stopped),
    }
    points_of = _POINTS
    if evaluation is not None and evaluation.all_to_hlx.samples:
        points_of = _POINTS_IF_EVALUATED
        shares["evaluation"] = _evaluation(evaluation)
    parts = [_part(name, *shares[name], of) for name, of in points_of.items()]
    points = round(sum(part.points for part in parts), 1)
    given, capped = _given(points, _unseen(metrics, evaluation, shares["accuracy"]))
    return GradeGiven(points=points, letter=given, capped=capped, parts=parts)


def letter(points: float) -> Letter:
    """Return A from 90 points, B from 80, C from 70, D from 60, F below."""
    return next((letter for letter, minimum in LETTERS if points >= minimum), "F")


def _given(points: float, unseen: _Share | None) -> tuple[Letter | None, str | None]:
    """Return the letter for the points and for what is right on unseen text, and why it is not that of the points."""
    best = letter(points)  # letters compare as text: A is below D
    if unseen is None:
        return None, NOTHING_HELD_OUT
    if best >= CAP or unseen.share >= MIN_UNSEEN:
        return best, None
    return CAP, f"{unseen.why} (required ≥ {MIN_UNSEEN:.0%} for a letter above {CAP})"


def _unseen(metrics: Figures, evaluation: EvaluationFigures | None, accuracy: _Share) -> _Share | None:
    """Return what is right on text that the model has not seen; None if nothing was held out."""
    if not isinstance(metrics, TranslationFigures):
        share, what = _limited(accuracy.share), "the points for accuracy are given on test text"
        return _Share(share, f"{against(share, MIN_UNSEEN).rate} of {what}") if metrics.held_out_tokens else None
    if (rates := unseen_answers(metrics, evaluation)) is None:
        return None
    right = f"{against(rates.exact_match, MIN_UNSEEN).rate} of {rates.samples} answers"
    return _Share(rates.exact_match, f"{right} to unseen sentences are right, English→HLX")


def _part(name: PartName, share: float, why: str, of: int) -> GradePart:
    return GradePart(name=name, points=round(of * _limited(share), 1), of=of, why=why)


def _limited(share: float) -> float:
    """Return a share between 0 and 1; 0 if it is not finite."""
    return min(1.0, max(0.0, share)) if math.isfinite(share) else 0.0


def _evaluation(found: EvaluationFigures) -> _Share:
    rates = found.all_to_hlx
    why = f"{rates.exact_match:.1%} of {rates.samples} answers to new sentences are right, English→HLX"
    return _Share(rates.exact_match, why)


def _convergence(metrics: Figures, stopped: str | None) -> _Share:
    if stopped:
        return _Share(0.0, f"the training was stopped: {stopped}")
    return _below_baselines(metrics, metrics.training_loss, "training text")


def _accuracy(metrics: Figures) -> _Share:
    if not isinstance(metrics, TranslationFigures):
        return _below_baselines(metrics, metrics.held_out_loss, "test text")
    hlx, english = metrics.all_to_hlx, metrics.all_to_english
    why = f"exact match {hlx.exact_match:.1%} of {hlx.samples} English→HLX and {english.exact_match:.1%} of "
    why += f"{english.samples} HLX→English on {metrics.held_out_values} test values"
    return _Share((hlx.exact_match + english.exact_match) / 2, why)


def _below_baselines(metrics: Figures, loss: float, what: str) -> _Share:
    unigram = metrics.unigram_baseline
    full = _LEARNED * min(unigram, metrics.bigram_baseline)
    why = f"loss {loss:.3f} nats on {what}: all points at {full:.3f} or less, none at {unigram:.3f} (unigram) or more"
    return _Share((unigram - loss) / (unigram - full), why)


def _format_correctness(metrics: Figures, gates: Sequence[GateResult]) -> _Share:
    if isinstance(metrics, TranslationFigures):
        rates = metrics.all_to_hlx
        return _Share(rates.parse_rate, f"{rates.parse_rate:.1%} of {rates.samples} answers in HLX parse")
    gate = next(gate for gate in gates if gate.name in FORMAT_GATES)
    rate = gate.value or 0.0
    return _Share(rate, f"{rate:.1%} of {gate.samples} {FORMAT_GATES[gate.name]}")


def _steady_progress(curve: Sequence[CurvePoint], stopped: str | None) -> _Share:
    losses = [point.train_loss for point in curve if point.held_out_loss is None and point.train_loss is not None]
    if stopped:
        return _Share(0.0, f"the training was stopped: {stopped}")
    if len(losses) < 2:
        return _Share(0.0, "no training losses were recorded")
    number = min(_PARTS, len(losses))
    cuts = [round(i * len(losses) / number) for i in range(number + 1)]
    means = [sum(losses[i:j]) / (j - i) for i, j in pairwise(cuts)]
    allowed = _MAX_RISE * max(0.0, means[0] - min(means))
    steady = sum(later <= earlier + allowed for earlier, later in pairwise(means))
    why = f"the training loss rose at {number - 1 - steady} of {number - 1} steps from one part to the next"
    return _Share(steady / (number - 1), why)
