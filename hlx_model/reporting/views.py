"""What templates show of a report, put into the order and the words in which they show it."""

from collections.abc import Mapping
from typing import Literal

from hlx_model.checkpoints.manifest import chosen_best
from hlx_model.reporting import models
from hlx_model.reporting.numbers import finite, format_interval, format_percent

_MIN_SAMPLES = 10
"""A kind with fewer samples is not listed among the worst."""
_WORST_KINDS = 5

RatesByName = Mapping[str, models.Rates]


def directions(f: models.TranslationFigures) -> dict[str, models.Rates]:
    """Return the rates of phase 3 by direction, each kind followed by its total."""
    return {
        **{f"English → {name}": rates for name, rates in f.to_hlx.items()},
        "English → HLX, all": f.all_to_hlx,
        **{f"{name} → English": rates for name, rates in f.to_english.items()},
        "HLX → English, all": f.all_to_english,
        "format → format, all": f.between_formats,
        "training pairs, again": f.training_pairs,
    }


def source_name(source: models.SourceRates) -> str:
    """Return the name of a source, as tables show it."""
    return f"evaluation: {source.name}" if source.kind == "evaluation" else source.name


def by_source(f: models.TranslationFigures, name: Literal["to_hlx", "to_english", "trained_to_hlx"]) -> RatesByName:
    """Return the rates of that name by source, without the sources that do not have them."""
    found = {source_name(source): getattr(source, name) for source in f.by_source}
    return {source: rates for source, rates in found.items() if rates}


def worst_kinds(kinds: RatesByName) -> dict[str, models.Rates]:
    """Return the kinds with the lowest exact match, the worst first; those with few samples only if all have few."""
    sampled = {name: rates for name, rates in kinds.items() if rates.samples}
    enough = {name: rates for name, rates in sampled.items() if rates.samples >= _MIN_SAMPLES} or sampled
    return dict(sorted(enough.items(), key=lambda kind: kind[1].exact_match)[:_WORST_KINDS])


def answer_found(answer: models.Example | models.StandardAnswer) -> str:
    """Return how good an answer is: a sign and a few words."""
    match answer:
        case models.Continuation():
            return f"{'✓' if answer.known == answer.words else '✗'} {answer.known} of {answer.words} words"
        case models.Translation(exact=True) | models.StandardAnswer(same_value=True):
            return "✓ right"
        case models.Translation(same_value=True):
            return "≈ same value"
        case models.Translation(parses=True) | models.StandardAnswer(parses=True, same_value=False):
            return "≠ wrong"
        case models.Completion(parses=True) | models.StandardAnswer(parses=True):
            return "✓ parses"
    return "✗ does not parse"


def best_line(report: models.Report) -> str | None:
    """Return how much lower the best validation loss of the training was, as one line; None if it was not lower."""
    best, losses = report.best, [finite(point.held_out_loss) for point in report.curve]
    own = next((loss for loss in reversed(losses) if loss is not None), None)
    loss = finite(best.held_out_loss) if best else None
    if best is None or own is None or loss is None or loss >= own:
        return None
    name = best.checkpoint or f"epoch {best.epoch}, whose checkpoint does not exist any more"
    advice = " (pass_on: best passes it on)" if best.checkpoint and report.kind == "FINAL" else ""
    lower = f"{own - loss:.2f} lower than this checkpoint's {own:.2f}"
    return f"Best of the training: {name}{advice}. Its validation loss was {loss:.2f}, {lower}."


def chosen_line(report: models.Report) -> str | None:
    """Return why the checkpoint was passed on if it is the best of its training, and not the last; else None."""
    return f"This checkpoint is {chosen_best(report.epochs)}." if report.pass_on and report.epochs else None


def evaluation_line(found: models.EvaluationFigures) -> str:
    """Return what is right on evaluation documents, as one line."""
    rates = found.all_to_hlx
    line = f"evaluation ({', '.join(found.documents)}): {format_percent(rates.exact_match)} right"
    line += f" ({format_interval(rates.exact_match_interval)}), English→HLX, {rates.samples:,} answers to new sentences"
    return line if found.chrf_to_english is None else f"{line}; chrF into English {found.chrf_to_english:.0f}"
