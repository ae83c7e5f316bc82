"""What a model writes freely: continued sentences, completed lines, answers to the standard prompts, sampled texts."""

import re
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, NamedTuple

from hlx_model.corpus import parses, prompt
from hlx_model.evaluation.detectors import Detection, diagnose
from hlx_model.evaluation.translation import Answer
from hlx_model.language import Format
from hlx_model.reporting.models import Completion, Continuation, StandardAnswer

# PyTorch takes longer to load than a verdict to read: it is imported where a model is used.
if TYPE_CHECKING:
    from hlx_model.model.transformer import Transformer

STANDARD_PROMPTS = (
    "Search for documents",
    "Filter active users",
    "HLX: search documents",
    "HLXL: SEARCH documents WHERE status = active",
    'LC-R: 🜊1000🜁0 "search"🜁1',
    "Map each item to its name",
    "Sort users by age descending",
    "Count the items",
)
"""Five prompts that the broken models on record were tested with, and three more of the same kind."""
SAMPLED = 64
"""Texts that are sampled to measure their diversity."""
_SHORTEST_LINE = 4


class HlxRow(NamedTuple):
    """A row of the corpus of HLX lines."""

    format: str
    text: str
    value_sha256: str = ""
    split: str = ""


class Outputs(NamedTuple):
    """The outputs of a model, in which the text detectors look for broken ones."""

    what: str
    """`texts`, `completions` or `answers`."""
    suspects: list[tuple[str, Detection]]
    """The texts in which a detector found something, and what it found."""
    samples: int
    """The number of all outputs, right ones included."""


def words_of(text: str) -> list[str]:
    """Return the runs of letters of a text."""
    return re.findall(r"[A-Za-z]+", text)


def continuations(model: "Transformer", held_out: Sequence[str], words: AbstractSet[str]) -> list[Continuation]:
    """Return how a model continues the standard English prompts and the first halves of held-out sentences.

    Args:
        model: the model.
        held_out: sentences.
        words: the words of the corpus.
    """
    from hlx_model.model.generation import generate

    halves = [" ".join(text.split()[: max(1, len(text.split()) // 2)]) for text in held_out]
    rests = [text[len(half) :] for text, half in zip(held_out, halves, strict=True)]
    standard = [text for text in STANDARD_PROMPTS if ":" not in text]
    prefixes = standard + halves
    written = generate(model, prefixes, max_new_tokens=64)
    found = []
    for prefix, rest, text in zip(prefixes, [*[None] * len(standard), *rests], written, strict=True):
        # A continuation may finish the prefix's last word, which then counts. The prefix's own words do not count.
        finished = prefix[-1:].isalpha() and text[:1].isalpha()
        new = words_of(prefix + text)[len(words_of(prefix)) - finished :]
        known = sum(word in words for word in new)
        found.append(Continuation(prompt=prefix, expected=rest, written=text, words=len(new), known=known))
    return found


def completions(model: "Transformer", rows: Iterable[HlxRow]) -> list[Completion]:
    """Return how a model completes the first halves of lines, and whether each whole line parses in its format."""
    from hlx_model.model.generation import generate

    rows = [row for row in rows if len(row.text) >= _SHORTEST_LINE]
    halves = [row.text[: len(row.text) // 2] for row in rows]
    written = generate(model, halves, max_new_tokens=160)
    return [
        Completion(
            format=(format := Format(row.format)), prompt=half, expected=row.text[len(half) :], written=text,
            parses=parses(half + text, format),
        )
        for row, half, text in zip(rows, halves, written, strict=True)
    ]  # fmt: skip


def standard_answers(model: "Transformer") -> list[StandardAnswer]:
    """Return the answers to the standard prompts, each with the tag of each format, and whether they parse in it."""
    from hlx_model.model.generation import generate

    pairs = [(format, text) for text in STANDARD_PROMPTS for format in Format]
    written = generate(model, [prompt(format, text) for format, text in pairs], max_new_tokens=96)
    return [
        StandardAnswer(target=format, prompt=text, written=answer, parses=parses(answer, format))
        for (format, text), answer in zip(pairs, written, strict=True)
    ]


def sampled_texts(model: "Transformer", samples: int = SAMPLED) -> list[str]:
    """Return texts that the model samples from an empty prompt at temperature 1."""
    from hlx_model.model.generation import generate

    return generate(model, [""] * samples, temperature=1.0, max_new_tokens=64)


def continued_outputs(found: Sequence[Continuation]) -> Outputs:
    """Return what the detectors find in continued sentences."""
    return _outputs("texts", [(c.written, diagnose(c.prompt, c.written)) for c in found], len(found))


def completed_outputs(found: Sequence[Completion]) -> Outputs:
    """Return what the detectors find in completed lines; each is judged with its prefix, as one text."""
    whole = [c.prompt + c.written for c in found]
    return _outputs("completions", [(text, diagnose("", text)) for text in whole], len(found))


def answered_outputs(answers: Sequence[Answer]) -> Outputs:
    """Return what the detectors find in the wrong ones of these answers."""
    wrong = [(a.written, diagnose(a.given, a.written, a.expected)) for a in answers if not a.exact]
    return _outputs("answers", wrong, len(answers))


def _outputs(what: str, diagnosed: Sequence[tuple[str, Detection | None]], samples: int) -> Outputs:
    return Outputs(what, [(text, detection) for text, detection in diagnosed if detection is not None], samples)
