"""The grade of a checkpoint: 100 points in four parts, and a letter.

Each part follows from one metric that a report contains anyway:

- convergence, 30: the loss on training text. No points at the unigram baseline or above, all of them at half of the
  bigram baseline or below; healthy quick runs end at a tenth to a third of it. None if the training was stopped.
- accuracy, 30: on held-out text. In phase 3 the mean of the exact match in both directions; in phases 1 and 2, which
  give no answers, the held-out loss, measured as for convergence.
- format correctness, 20: in phase 3 the parse rate of answers in HLX; in phase 2 that of completions, in the format
  with the lowest rate; in phase 1 the share of written words that are words of the corpus.
- steady progress, 20: the training losses in ten equal parts, by their means. The points are the share of the nine
  steps from one part to the next at which the loss does not rise by more than 2% of its whole fall. None if the
  training was stopped, or if no losses were recorded.

A small corpus is graded on what little it holds out, though that cannot show generalization.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hlx_model.verdicts import GateResult

LETTERS = (("A", 90.0), ("B", 80.0), ("C", 70.0), ("D", 60.0))
"""Letters with the points from which each is given; F below."""
_PARTS = 10
_MAX_RISE = 0.02
_LEARNED = 0.5


@dataclass(frozen=True)
class Part:
    """One of the four parts of a grade."""

    name: str
    points: float
    of: int
    """The points that this part gives at most."""
    why: str
    """One line: the metric that the points follow from."""


@dataclass(frozen=True)
class Grade:
    """A grade and its parts."""

    points: float
    letter: str
    parts: tuple[Part, ...]


def grade(
    phase: int,
    metrics: Mapping[str, Any],
    gates: Sequence[GateResult],
    curve: Sequence[Mapping[str, Any]],
    stopped: str | None,
) -> Grade:
    """Return the grade that follows from a report.

    Args:
        phase: 1, 2 or 3.
        metrics: the report's `figures`.
        gates: the results of the gates.
        curve: rows of `metrics.parquet`.
        stopped: why the training was stopped; None if nothing stopped it.
    """
    parts = (
        _convergence(metrics, stopped),
        _accuracy(phase, metrics),
        _format_correctness(phase, metrics, {gate.name: gate for gate in gates}),
        _steady_progress(curve, stopped),
    )
    points = round(sum(part.points for part in parts), 1)
    return Grade(points, letter(points), parts)


def letter(points: float) -> str:
    """Return A from 90 points, B from 80, C from 70, D from 60, F below."""
    return next((letter for letter, minimum in LETTERS if points >= minimum), "F")


def _part(name: str, share: float, of: int, why: str) -> Part:
    share = min(1.0, max(0.0, share)) if math.isfinite(share) else 0.0
    return Part(name, round(of * share, 1), of, why)


def _convergence(metrics: Mapping[str, Any], stopped: str | None) -> Part:
    if stopped:
        return _part("convergence", 0.0, 30, f"the training was stopped: {stopped}")
    return _part("convergence", *_below_baselines(metrics, "training_loss", 30, "training text"))


def _accuracy(phase: int, metrics: Mapping[str, Any]) -> Part:
    if phase != 3:
        return _part("accuracy", *_below_baselines(metrics, "held_out_loss", 30, "held-out text"))
    hlx, english = metrics["all_to_hlx"], metrics["all_to_english"]
    share = (hlx["exact_match"] + english["exact_match"]) / 2
    why = (
        f"exact match {hlx['exact_match']:.1%} of {hlx['samples']} English→HLX and {english['exact_match']:.1%} of "
        f"{english['samples']} HLX→English on {metrics['held_out_values']} held-out values"
    )
    return _part("accuracy", share, 30, why)


def _below_baselines(metrics: Mapping[str, Any], name: str, of: int, what: str) -> tuple[float, int, str]:
    loss, unigram = metrics[name], metrics["unigram_baseline"]
    full = _LEARNED * min(unigram, metrics["bigram_baseline"])
    why = f"loss {loss:.3f} nats on {what}: all points at {full:.3f} or less, none at {unigram:.3f} (unigram) or more"
    return (unigram - loss) / (unigram - full), of, why


def _format_correctness(phase: int, metrics: Mapping[str, Any], gates: Mapping[str, GateResult]) -> Part:
    if phase == 3:
        rates = metrics["all_to_hlx"]
        why = f"{rates['parse_rate']:.1%} of {rates['samples']} answers in HLX parse"
        return _part("format correctness", rates["parse_rate"], 20, why)
    gate = gates["words" if phase == 1 else "completions_parse"]
    rate = gate.value or 0.0
    what = "written words are words of the corpus" if phase == 1 else "completions parse, in the worst format"
    return _part("format correctness", rate, 20, f"{rate:.1%} of {gate.samples} {what}")


def _steady_progress(curve: Sequence[Mapping[str, Any]], stopped: str | None) -> Part:
    losses = [row["train_loss"] for row in curve if row["held_out_loss"] is None]
    if stopped:
        return _part("steady progress", 0.0, 20, f"the training was stopped: {stopped}")
    if len(losses) < 2:
        return _part("steady progress", 0.0, 20, "no training losses were recorded")
    number = min(_PARTS, len(losses))
    cuts = [round(i * len(losses) / number) for i in range(number + 1)]
    means = [sum(losses[i:j]) / (j - i) for i, j in pairwise(cuts)]
    allowed = _MAX_RISE * max(0.0, means[0] - min(means))
    steady = sum(later <= earlier + allowed for earlier, later in pairwise(means))
    why = f"the training loss rose at {number - 1 - steady} of {number - 1} steps from one part to the next"
    return _part("steady progress", steady / (number - 1), 20, why)
