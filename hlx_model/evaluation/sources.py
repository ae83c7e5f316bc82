"""How much of each source is right: composed entries, each document of the corpus, and the evaluation."""

from collections.abc import Collection, Iterable

from hlx_model.corpus import ENGLISH
from hlx_model.evaluation.translation import PairRow, rates
from hlx_model.reporting.models import EvaluationFigures, SourceRates, Translation

Answers = Iterable[tuple[PairRow, Translation]]
_COMPOSED = ""
"""In the place of a document's name: composed entries, of whichever document."""


def rates_by_source(held_out: Answers, trained: Answers, composed: Collection[str]) -> list[SourceRates]:
    """Return rates by source, those of the composed entries first.

    Args:
        held_out: test rows from and into English, with the answers to them.
        trained: rows from English that the model was trained on, of documents that were not composed.
        composed: the names of the composed documents.
    """
    answers: dict[str, tuple[list[Translation], list[Translation]]] = {}
    for index, some in enumerate((held_out, trained)):
        for row, answer in some:
            name = _COMPOSED if row.document in composed else row.document
            answers.setdefault(name, ([], []))[index].append(answer)
    return [
        SourceRates(
            kind="document" if name else "composed",
            name=name or "composed entries",
            to_hlx=rates(answer for answer in answers[name][0] if answer.source == ENGLISH),
            to_english=rates(answer for answer in answers[name][0] if answer.target == ENGLISH),
            trained_to_hlx=rates(answers[name][1]) if name else None,
        )
        for name in sorted(answers)
    ]


def evaluation_source(found: EvaluationFigures) -> SourceRates:
    """Return the rates on evaluation documents as those of a source."""
    return SourceRates(
        kind="evaluation", name=", ".join(found.documents),
        to_hlx=found.all_to_hlx, to_english=found.all_to_english, trained_to_hlx=None,
    )  # fmt: skip
