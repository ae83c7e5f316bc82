"""What a model writes freely: continued sentences, completed lines, answers to the standard prompts, sampled texts."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from hlx_model.corpus import parses, prompt
from hlx_model.evaluation.detectors import Outputs, diagnose
from hlx_model.evaluation.thresholds import T
from hlx_model.language import Format, parse, render, same
from hlx_model.model.generation import generate
from hlx_model.model.transformer import Transformer
from hlx_model.reporting.models import Completion, Continuation, StandardAnswer, Translation

STANDARD_PROMPTS = (
    "Search for documents", "Filter active users", "HLX: search documents",
    "HLXL: SEARCH documents WHERE status = active", 'LC-R: 🜊1000🜁0 "search"🜁1',
    "Map each item to its name", "Sort users by age descending", "Count the items",
)  # fmt: skip
"""Five prompts that the broken models on record were tested with, and three more of the same kind."""
STANDARD_VALUES = {
    "Search for documents": ('{1000: {@0: "search", @1: &h_documents}}',),
    "Filter active users": ('{1000: {@0: "filter", @1: &h_users, @2: &h_active}}',),
    "Map each item to its name": ('{1000: {@0: "map", @1: &h_items, @2: &h_name}}',),
    "Sort users by age descending": ('{1000: {@0: "sort", @1: &h_users, @2: &h_age, @3: &h_desc}}',),
    "Count the items": (
        '{1000: {@0: "count", @1: &h_items}}', '{1000: {@0: "aggregate", @1: &h_count, @2: &h_items}}',
    ),
}  # fmt: skip
"""The values, in HLXL, of those that are sentences, by the conventions of composed entries. Documents use both of the
last one's."""
SAMPLED = 64
"""Texts that are sampled to measure their diversity."""
_SHORTEST_LINE = 4


class HlxRow(NamedTuple):
    """A row of the corpus of HLX lines."""

    format: str
    text: str


def words_of(text: str) -> list[str]:
    """Return the runs of letters of a text."""
    return re.findall(r"[A-Za-z]+", text)


def continuations(
    model: Transformer, sentences: Sequence[str], words: set[str], standard: Sequence[str] = tuple(STANDARD_VALUES)
) -> list[Continuation]:
    """Return how a model continues the standard English prompts and the first halves of sentences.

    Args:
        model: the model.
        sentences: of the corpus.
        words: the words of the corpus.
        standard: the standard prompts to continue.
    """
    halves = [" ".join(text.split()[: max(1, len(text.split()) // 2)]) for text in sentences]
    rests = [text[len(half) :] for text, half in zip(sentences, halves, strict=True)]
    prefixes = [*standard, *halves]
    written = generate(model, prefixes, max_new_tokens=64)
    found = []
    for prefix, rest, text in zip(prefixes, [*[None] * len(standard), *rests], written, strict=True):
        # A continuation may finish the prefix's last word, which then counts. The prefix's own words do not count.
        finished = prefix[-1:].isalpha() and text[:1].isalpha()
        new = words_of(prefix + text)[len(words_of(prefix)) - finished :]
        known = sum(word in words for word in new)
        found.append(Continuation(prompt=prefix, expected=rest, written=text, words=len(new), known=known))
    return found


def completions(model: Transformer, rows: Iterable[HlxRow]) -> list[Completion]:
    """Return how a model completes the first halves of lines, and whether each whole line parses in its format."""
    rows = [row for row in rows if len(row.text) >= _SHORTEST_LINE]
    halves = [row.text[: len(row.text) // 2] for row in rows]
    written = generate(model, halves, max_new_tokens=160)
    return [
        Completion(
            format=Format(row.format), prompt=half, expected=row.text[len(half) :], written=text,
            parses=parses(half + text, Format(row.format)),
        )
        for row, half, text in zip(rows, halves, written, strict=True)
    ]  # fmt: skip


def standard_answers(model: Transformer, values: Mapping[str, Collection[str]]) -> list[StandardAnswer]:
    """Return the answers to the standard prompts, each with the tag of each format, and whether they are right.

    Args:
        model: the model.
        values: those that count as right, in HLXL, by prompt.
    """
    pairs = [(format, text) for text in STANDARD_PROMPTS for format in Format]
    written = generate(model, [prompt(format, text) for format, text in pairs], max_new_tokens=96)
    found = []
    for (format, text), answer in zip(pairs, written, strict=True):
        right = [parse(render(parse(hlxl, Format.HLXL), format), format) for hlxl in values.get(text, ())]
        well_formed = parses(answer, format)
        same_value = well_formed and any(same(parse(answer, format), value) for value in right) if right else None
        found.append(
            StandardAnswer(target=format, prompt=text, written=answer, parses=well_formed, same_value=same_value)
        )
    return found


def sampled_texts(model: Transformer) -> list[str]:
    """Return texts that the model samples from an empty prompt at temperature 1."""
    return generate(model, [""] * SAMPLED, temperature=1.0, max_new_tokens=64)


def sampled_answers(model: Transformer, asked: Sequence[Translation]) -> dict[float, list[str]]:
    """Return answers to the prompts of these translations that the model samples, by temperature."""
    prompts, longest = [a.prompt for a in asked], max((len(a.expected) for a in asked), default=0)
    return {
        temperature: generate(model, prompts, temperature=temperature, max_new_tokens=longest + 8)
        for temperature in T.temperatures
    }


def continued_outputs(found: Sequence[Continuation]) -> Outputs:
    """Return what the detectors find in continued sentences."""
    return Outputs("texts", [(c.written, diagnose(c.prompt, c.written)) for c in found], len(found))


def completed_outputs(found: Sequence[Completion]) -> Outputs:
    """Return what the detectors find in completed lines; each is judged with its prefix, as one text."""
    whole = [c.prompt + c.written for c in found]
    return Outputs("completions", [(text, diagnose("", text)) for text in whole], len(found))


def answered_outputs(answers: Sequence[Translation]) -> Outputs:
    """Return what the detectors find in the wrong ones of these answers."""
    wrong = [(a.written, diagnose(a.given, a.written, a.expected)) for a in answers if not a.exact]
    return Outputs("answers", wrong, len(answers))
