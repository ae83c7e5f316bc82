"""What a report contains of the measurements: its metrics (`figures` in JSON), its examples and its worst answers."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from hlx_model.corpus import ENGLISH
from hlx_model.evaluation import translation
from hlx_model.evaluation.measurements import Measurements
from hlx_model.evaluation.records import Completion, Continuation, Translation, WorstTranslation
from hlx_model.evaluation.translation import rates, rates_by_direction, rates_by_length, rates_by_operation
from hlx_model.language import Format

T = TypeVar("T")

SPREAD = 12
"""Examples that a report shows of phases 1 and 2, from all over."""
OF_EACH = 6
"""Right and wrong examples that it shows of phase 3."""


def metrics(m: Measurements) -> dict[str, Any]:
    """Return the metrics of every phase, and in phase 3 those of translation."""
    p = m.predictions
    found = {
        "sample": asdict(m.sample),
        "held_out_loss": p.held_out.loss,
        "training_loss": p.training.loss,
        "perplexity": p.held_out.perplexity,
        "unigram_baseline": p.baselines.unigram,
        "bigram_baseline": p.baselines.bigram,
        "copy_rate": p.held_out.copy_rate,
        "held_out_tokens": p.held_out.tokens,
        "training_tokens": p.baselines.train_tokens,
    }
    return found | (_translation_metrics(m) if m.record.phase == 3 else {})


def _translation_metrics(m: Measurements) -> dict[str, Any]:
    answers = m.translations
    by_source = rates_by_direction([*answers.held_out, *answers.between])
    to_hlx, formats = by_source[ENGLISH], [str(format) for format in Format]
    return {
        "to_hlx": {target: found.to_json() for target, found in to_hlx.items()},
        "to_english": {source: by_source[source][ENGLISH].to_json() for source in formats},
        "between": {
            source: {target: by_source[source][target].to_json() for target in formats if target != source}
            for source in formats
        },
        "between_formats": rates(answers.between).to_json(),
        "all_to_hlx": rates(a for a in answers.held_out if a.source == ENGLISH).to_json(),
        "all_to_english": rates(a for a in answers.held_out if a.target == ENGLISH).to_json(),
        "training_pairs": rates(answers.training).to_json(),
        "by_operation": {k: v.to_json() for k, v in rates_by_operation(answers.rows, answers.held_out).items()},
        "by_length": {k: v.to_json() for k, v in rates_by_length(answers.held_out).items()},
        "held_out_values": m.held_out_values,
        "standard_prompts": [answer.to_json() for answer in m.standard_answers],
        "earlier_phases": {asset: change._asdict() for asset, change in m.earlier_phases.items()},
    }


def examples(m: Measurements) -> Sequence[Continuation | Completion | Translation]:
    """Return examples of what the model wrote, from all over; in phase 3 right and wrong ones."""
    if m.record.phase == 1:
        return spread(m.continuations, SPREAD)
    if m.record.phase == 2:
        return spread(m.completions, SPREAD)
    answers = m.translations.held_out
    right, wrong = [a for a in answers if a.exact], [a for a in answers if not a.exact]
    return [a.to_record() for some in (right, wrong) for a in spread(some, OF_EACH)[:OF_EACH]]


def worst_answers(m: Measurements) -> list[WorstTranslation]:
    """Return the worst answers on held-out pairs of phase 3; none in the other phases."""
    if m.record.phase != 3:
        return []
    return translation.worst_answers([*m.translations.held_out, *m.translations.between])


def spread(items: Sequence[T], number: int) -> list[T]:
    """Return about `number` of the items, at equal distances."""
    return list(items[:: max(1, len(items) // number)])
