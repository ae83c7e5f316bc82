"""What a report comes to, in one or two sentences: what a page, a card or a command on a model begins with.

What counts is text that the model has not seen. A model that only knows its training pairs is of no use for others.
"""

import math
from collections.abc import Iterator

from hlx_model.model.tokenizer import VOCABULARY_SIZE
from hlx_model.reporting.models import EvaluationFigures, Rates, Report, TranslationFigures
from hlx_model.reporting.numbers import finite, format_number, format_share, format_whole_percent

MIN_UNSEEN = 0.5
"""Share of answers to unseen sentences below which nothing speaks for a model but its training pairs."""
MIN_BY_HEART = 0.9
"""Share of its training pairs that a model knows by heart, as the gate `training_pairs` requires it."""
MIN_USEFUL = 0.8
"""Share of answers to unseen sentences from which a model that passed all gates is good enough to use, as the profile
`production` requires it of evaluation documents."""
NOTHING_HELD_OUT = "nothing was held out: nothing shows what it does with other text"

_UNIFORM_LOSS = math.log(VOCABULARY_SIZE)
_WRITING = {
    "words": "it writes {rate} known words when it continues {of}sentences",
    "completions_parse": "of the {of}lines that it completes, {rate} parse in the worst format",
}
"""How the rate of a gate is put in words, of a model that does not translate."""
_NAMED = 3
"""Failed gates that are named."""


def conclusion(report: Report) -> str:
    """Return what the model of a report can do and what it cannot, as a person would say it."""
    figures = report.translation
    sentences = [*_failed(report), *(_translating(report, figures) if figures else _writing(report))]
    return " ".join(f"{sentence[0].upper()}{sentence[1:]}." for sentence in sentences)


def unseen_answers(figures: TranslationFigures, evaluation: EvaluationFigures | None) -> Rates | None:
    """Return how many English→HLX answers to unseen sentences are right; None if there are none.

    Those of evaluation documents count, else those of test pairs.
    """
    found = (evaluation.all_to_hlx if evaluation else None, figures.all_to_hlx)
    return next((rates for rates in found if rates and rates.samples), None)


def _failed(report: Report) -> Iterator[str]:
    """Yield why nothing may be built on it, if it is so. The gates' own reasons have the figures."""
    failed = [gate.name for gate in report.gates if gate.outcome == "fail"]
    if report.stopped:
        epoch, epochs = format_number(report.epoch), format_number(report.epochs)
        yield f"its training was stopped at epoch {epoch} of {epochs}: {report.stopped.split(': ')[0]}"
    elif len(failed) > _NAMED:
        yield f"it failed {len(failed)} gates, the first of them {', '.join(failed[:_NAMED])}"
    elif failed:
        yield f"it failed the gate{'s' if failed[1:] else ''} {', '.join(failed)}"


def _translating(report: Report, f: TranslationFigures) -> Iterator[str]:
    """Yield how much is right on sentences that it has not seen, and on its training pairs if it knows little else."""
    unseen, pairs = unseen_answers(f, report.evaluation), f.training_pairs.exact_match
    rate = format_whole_percent(pairs)
    known = f"it knows its training pairs by heart ({rate})"
    learned = known if pairs >= MIN_BY_HEART else f"it reproduces {rate} of its training pairs"
    if unseen is None:
        yield from (learned, NOTHING_HELD_OUT)
        return
    by_heart, little = _is_by_heart(report), max(unseen.exact_match, f.all_to_hlx.exact_match) < MIN_UNSEEN
    said = f"{learned} and" if by_heart or little else "it"
    said += f" is right on {_of(unseen)} answers in HLX to "
    if unseen is f.all_to_hlx:
        said += "sentences that it has not seen" if _is_recorded(report) else "test sentences"
        said += ", too few to show that it generalizes" if by_heart and not little else ""
    else:
        said += f"sentences that people wrote{' and that it has not seen' if _is_recorded(report) else ''}"
        said += f", and on {_of(f.all_to_hlx)} test sentences" if f.all_to_hlx.samples else ""
    if report.outcome == "pass" and unseen.exact_match >= MIN_USEFUL:
        said += ": good enough to use"
    yield said + _unrecorded(report)


def _writing(report: Report) -> Iterator[str]:
    """Yield how well formed is what it writes, and how well it predicts text."""
    f, by_heart = report.figures, _is_by_heart(report)
    held_out, training = _nats(f.held_out_loss), f"{_nats(f.training_loss)} nats per token"
    guess = f" (a uniform guess has {_nats(_UNIFORM_LOSS)})"
    if not f.held_out_tokens:
        loss = f"its loss on training text is {training}{guess}"
    elif by_heart:
        loss = f"its loss is {training} on training text and {held_out} on test text{guess}"
    else:
        loss = f"its test loss is {held_out} nats per token{guess}"
    shares = [
        text.format(rate=format_whole_percent(gate.value), of="training " if by_heart else "")
        for gate in report.gates
        if gate.samples and (text := _WRITING.get(gate.name))
    ]
    yield "; ".join([*shares, loss]) + _unrecorded(report)
    if not f.held_out_tokens:
        yield NOTHING_HELD_OUT


def _is_by_heart(report: Report) -> bool:
    return report.fitness is not None and report.fitness.by_heart


def _is_recorded(report: Report) -> bool:
    """Return whether it is recorded what the model was trained on."""
    return report.kind != "FOREIGN"


def _unrecorded(report: Report) -> str:
    return "" if _is_recorded(report) else "; the file does not say what it was trained on"


def _of(rates: Rates) -> str:
    return format_share(rates.exact_match, rates.samples)


def _nats(loss: float) -> str:
    number = finite(loss)
    return f"{number:.2f}" if number is not None and abs(number) < 1000 else format_number(loss)
