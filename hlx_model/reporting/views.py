"""What templates show of a report, put into the order and the words in which they show it."""

import math
from collections.abc import Mapping, Sequence

from hlx_model.language import Format
from hlx_model.reporting.models import (
    Change,
    Changed,
    Completion,
    Continuation,
    Example,
    Rates,
    StandardAnswer,
    Translation,
    TranslationFigures,
)
from hlx_model.reporting.numbers import NOTHING, finite, format_number, format_percent

_COMMON_OPERATIONS = 20
"""Operations that are shown at once; the page folds the others."""
_MAX_NAME = 60
_MAX_LOSS = 700.0
"""A loss in nats whose perplexity is still a number."""
_MIN_SAMPLES = 10
"""A kind with fewer samples is not listed among the worst."""
_WORST_KINDS = 5

RatesByName = Mapping[str, Rates]


def directions(f: TranslationFigures) -> dict[str, Rates]:
    """Return the rates of phase 3 by direction, each kind followed by its total."""
    return {
        **{f"English → {name}": rates for name, rates in f.to_hlx.items()},
        "English → HLX, all": f.all_to_hlx,
        **{f"{name} → English": rates for name, rates in f.to_english.items()},
        "HLX → English, all": f.all_to_english,
        "format → format, all": f.between_formats,
        "training pairs, again": f.training_pairs,
    }


def between_formats(f: TranslationFigures) -> dict[Format, list[Rates | None]]:
    """Return a row for each source format: its rates into each format, in their order; None for itself."""
    return {source: [row.get(target) for target in Format] for source, row in f.between.items()}


def common_operations(f: TranslationFigures) -> tuple[dict[str, Rates], dict[str, Rates]]:
    """Return the most frequent operations with their rates, the most frequent first, and the others."""
    ranked = sorted(f.by_operation.items(), key=lambda item: -item[1].samples)
    return dict(ranked[:_COMMON_OPERATIONS]), dict(ranked[_COMMON_OPERATIONS:])


def worst_kinds(kinds: Mapping[str, Rates]) -> dict[str, Rates]:
    """Return the kinds with the lowest exact match, the worst first; those with few samples only if all have few."""
    sampled = {name: rates for name, rates in kinds.items() if rates.samples}
    enough = {name: rates for name, rates in sampled.items() if rates.samples >= _MIN_SAMPLES} or sampled
    return dict(sorted(enough.items(), key=lambda kind: kind[1].exact_match)[:_WORST_KINDS])


def by_prompt(answers: Sequence[StandardAnswer]) -> dict[str, list[StandardAnswer]]:
    """Return the answers to each prompt."""
    groups: dict[str, list[StandardAnswer]] = {}
    for answer in answers:
        groups.setdefault(answer.prompt, []).append(answer)
    return groups


def changes(figures: Mapping[str, Changed]) -> list[tuple[str, str, str, Change]]:
    """Return name, value before, value now and outcome of the compared figures: losses in nats, rates in percent."""
    rows = []
    for name, change in figures.items():
        show = format_number if name.endswith("loss") else format_percent
        rows.append((name, show(change.before), show(change.now), change.outcome))
    return rows


def answer_found(answer: Example | StandardAnswer) -> str:
    """Return how good an answer is: a sign and a few words."""
    match answer:
        case Continuation():
            return f"{'✓' if answer.known == answer.words else '✗'} {answer.known} of {answer.words} words"
        case Translation(exact=True):
            return "✓ right"
        case Translation(same_value=True):
            return "≈ same value"
        case Translation(parses=True):
            return "≠ wrong"
        case Completion(parses=True) | StandardAnswer(parses=True):
            return "✓ parses"
    return "✗ does not parse"


def perplexity_of(loss: object) -> str:
    """Format the perplexity of a loss in nats; a dash if either is no finite number."""
    number = finite(loss)
    return NOTHING if number is None or number > _MAX_LOSS else format_number(math.exp(number))


def bar_length(share: object) -> str:
    """Return a share of a bar's length for CSS: between 0 and 100%, 0 if it is no finite number."""
    return f"{min(1.0, max(0.0, finite(share) or 0.0)):.2%}"


def short_name(name: object) -> str:
    """Return a name that a user chose, such as that of a section, on one line and without its tail if it is long."""
    text = " ".join(str(name).split()) or "(none)"
    return text if len(text) <= _MAX_NAME else f"{text[:_MAX_NAME]}…"
