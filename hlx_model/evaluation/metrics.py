"""What a report contains of the measurements: its metrics (`figures` in JSON), its examples and its worst answers."""

from collections.abc import Sequence
from typing import TypeVar

from hlx_model.corpus import ENGLISH
from hlx_model.evaluation import translation
from hlx_model.evaluation.measurements import Measurements
from hlx_model.evaluation.translation import rates
from hlx_model.language import Format
from hlx_model.reporting.models import Example, Figures, TranslationFigures, WorstTranslation

T = TypeVar("T")

SPREAD = 12
"""Examples that a report shows of texts without a right answer."""
OF_EACH = 6
"""Right and wrong translations that it shows."""


def metrics(m: Measurements) -> Figures:
    """Return the metrics of every phase, and those of translation if the model translates."""
    held_out, training, baselines = m.predictions
    figures = Figures(
        sample=m.sample, held_out_loss=held_out.loss, training_loss=training.loss, perplexity=held_out.perplexity,
        unigram_baseline=baselines.unigram, bigram_baseline=baselines.bigram, copy_rate=held_out.copy_rate,
        held_out_tokens=held_out.tokens, training_tokens=baselines.train_tokens,
    )  # fmt: skip
    return _with_translation(figures, m) if m.writes == "translations" else figures


def _with_translation(figures: Figures, m: Measurements) -> TranslationFigures:
    rows, held_out, between, training = m.translations
    by_direction = translation.rates_by_direction([*held_out, *between])
    assert m.held_out_values is not None
    return TranslationFigures(
        **dict(figures),
        to_hlx={format: by_direction[ENGLISH, format] for format in Format},
        to_english={format: by_direction[format, ENGLISH] for format in Format},
        between={a: {b: by_direction[a, b] for b in Format if b is not a} for a in Format},
        between_formats=rates(between),
        all_to_hlx=rates(a for a in held_out if a.source == ENGLISH),
        all_to_english=rates(a for a in held_out if a.target == ENGLISH),
        training_pairs=rates(training),
        by_operation=translation.rates_by_operation(rows, held_out),
        by_length=translation.rates_by_length(held_out),
        held_out_values=m.held_out_values,
        standard_prompts=m.standard_answers,
        earlier_phases=m.earlier_phases,
    )


def examples(m: Measurements) -> Sequence[Example]:
    """Return examples of what the model wrote, spread over all; of translations right and wrong ones."""
    if m.writes != "translations":
        return spread(m.continuations if m.writes == "continuations" else m.completions, SPREAD)
    answers = m.translations.held_out
    right, wrong = [a for a in answers if a.exact], [a for a in answers if not a.exact]
    return [answer for some in (right, wrong) for answer in spread(some, OF_EACH)[:OF_EACH]]


def worst_answers(m: Measurements) -> list[WorstTranslation]:
    """Return the worst answers on held-out pairs; none if the model does not translate."""
    if m.writes != "translations":
        return []
    return translation.worst_answers([*m.translations.held_out, *m.translations.between])


def spread(items: Sequence[T], number: int) -> list[T]:
    """Return about `number` of the items, at equal distances."""
    return list(items[:: max(1, len(items) // number)])
