"""What a model answers to the sentences of evaluation documents, and how much of it is right."""

from collections.abc import Callable, Iterable, Sequence

from hlx_model.composer.spelling import folded
from hlx_model.corpus import ENGLISH, parses, prompt, value_sha256
from hlx_model.evaluation.documents import EvaluationDocuments, Question
from hlx_model.evaluation.translation import PairRow, rates, rates_by_key, sentences_by_value, translate
from hlx_model.language import Format, parse, same
from hlx_model.model.transformer import Transformer
from hlx_model.reporting.models import EvaluationFigures, Novelty, Translation

Answers = Sequence[tuple[Question, Translation]]
EXAMPLES = 12
"""Wrong answers that a report shows."""


def novelty_in(trained: Iterable[PairRow]) -> Callable[[Question], Novelty]:
    """Return a function that says what of a question is in training too.

    Args:
        trained: the rows that the model learned from.
    """
    sentences, values = set[str](), set[str]()
    for row in trained:
        if row.target == ENGLISH:
            sentences.add(folded(row.answer))
            values.add(row.value_sha256)

    def novelty(question: Question) -> Novelty:
        if folded(question.english) in sentences:
            return "seen sentence"
        known = any(value_sha256(text) in values for text in question.right[Format.HLXL])
        return "seen value" if known else "unseen"

    return novelty


def evaluate_documents(
    model: Transformer, documents: EvaluationDocuments, questions: Sequence[Question], trained: Iterable[PairRow]
) -> EvaluationFigures:
    """Let a model translate sentences into each format, and their values into English.

    Args:
        model: on the device to measure it on.
        documents: where the sentences are from.
        questions: the sentences to ask, all of them or a sample.
        trained: the rows that the model learned from.
    """
    novelty, into_hlx = novelty_in(trained), _into_hlx(model, questions)
    into_english = _into_english(model, questions)
    kinds = [novelty(question) for question, _ in into_hlx]
    new = [pair for pair, kind in zip(into_hlx, kinds, strict=True) if kind != "seen sentence"]
    wrong = [answer for _, answer in new if not answer.exact]
    return EvaluationFigures(
        data_version=documents.data_version,
        documents=[document.name for document in documents.documents],
        quarantined=documents.quarantined,
        sentences=len(questions),
        all_to_hlx=rates(answer for _, answer in new),
        to_hlx=rates_by_key((Format(answer.target), answer) for _, answer in new),
        by_novelty=rates_by_key((kind, answer) for kind, (_, answer) in zip(kinds, into_hlx, strict=True)),
        by_document=rates_by_key((question.document, answer) for question, answer in new),
        by_section=rates_by_key((question.section, answer) for question, answer in new),
        all_to_english=rates(answer for question, answer in into_english if novelty(question) != "seen sentence"),
        chrf_to_english=_chrf([answer for _, answer in into_english]),
        wrong=wrong[:: max(1, len(wrong) // EXAMPLES)][:EXAMPLES],
    )


def _into_hlx(model: Transformer, questions: Sequence[Question]) -> Answers:
    asked = [(question, format) for question in questions for format in Format]
    rows = [PairRow(f, ENGLISH, prompt(f, q.english), q.right[f][0], "") for q, f in asked]
    answers = translate(model, rows, sentences={})
    return [(q, _judged(answer, q.right[f], f)) for (q, f), answer in zip(asked, answers, strict=True)]


def _judged(answer: Translation, right: Sequence[str], format: Format) -> Translation:
    """Return an answer that is right if it is one of the right texts, and not the first one alone."""
    values = [parse(text, format) for text in right]
    same_value = parses(answer.written, format) and any(same(parse(answer.written, format), value) for value in values)
    return answer.replace(exact=answer.written in right, same_value=same_value)


def _into_english(model: Transformer, questions: Sequence[Question]) -> Answers:
    """Return what a model writes for the first value of each question, in HLXL."""
    given = [(question.english, question.right[Format.HLXL][0]) for question in questions]
    rows = [
        PairRow(ENGLISH, Format.HLXL, prompt(ENGLISH, hlxl), english, value_sha256(hlxl)) for english, hlxl in given
    ]
    return list(zip(questions, translate(model, rows, sentences_by_value(rows)), strict=True))


def _chrf(answers: Sequence[Translation]) -> float | None:
    """Return chrF (0 to 100) of the sentences that a model wrote.

    chrF is the F score of the character n-grams that a text shares with the expected one (Popović, 2015).
    None without answers, or without the package sacrebleu (the extra `evaluation`).
    """
    try:
        from sacrebleu.metrics.chrf import CHRF
    except ImportError:
        return None
    if not answers:
        return None
    written, expected = [answer.written for answer in answers], [answer.expected for answer in answers]
    return float(CHRF().corpus_score(written, [expected]).score)
