"""Which sentences of a teacher become entries of a document; all others are kept in quarantine, with the reason.

    admitted, refused = admit(proposals, known)

Each rule looks at one proposal and says why it is refused. They hold before anybody is asked whether a sentence means
what it should. Some good sentences are refused by them: another one costs less than a wrong one in a corpus.
"""

import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hlx_model.composer.reading import readings
from hlx_model.corpus.document import DEFAULT_SEQ_LENGTH, read_document
from hlx_model.corpus.prompts import tokens_of, translations
from hlx_model.corpus.rules import why_not_english
from hlx_model.files import write_lines
from hlx_model.language import Format, HLXSyntaxError, Value, parse, render, same
from hlx_model.model.tokenizer import unknown_characters
from hlx_model.teaching.literals import parts_of, texts_of, why_not_literal
from hlx_model.teaching.requests import Known, bare

LONGER = 3
"""A sentence has at most so many times the characters of the known one, and `MARGIN`."""
MARGIN = 40
_PLAIN = re.compile(r"[A-Za-z0-9 .,'?:%/()+-]")
_TO_THE_READER = re.compile(
    r"\b(ignore|disregard|forget|override|bypass|instructions?|prompts?|assistant|as an ai|language model|chatbot|"
    r"system|the user|you (?:must|are|should|will|have|can|may)|your|i (?:think|am|will|can|cannot)|i'm|let me|let us|"
    r"let's think|sure|okay|ok|of course|certainly|here is|here's|sentences?|translate|translation|hlxl?|json|"
    r"please note|note that|important|attention|reminder|same meaning|rephrased?|paraphrased?|in other words)\b",
    re.IGNORECASE,
)
_NEGATION = re.compile(
    r"\b(?:(?:not|no)(?! (?:more|less|fewer) than)|never|none|without|except|unless|neither|nor|avoid|cannot)\b|n't\b",
    re.IGNORECASE,
)
_ENDS = re.compile(r"[.!?;:](?=\s)|\s-+\s")

Row = Mapping[str, Any]


class Refusal(NamedTuple):
    """A proposal that is not admitted."""

    row: Row
    reason: str
    """One line."""


def admit(proposals: Iterable[Row], known: Known) -> tuple[list[Row], list[Refusal]]:
    """Return the proposals that may become entries, and those that are refused.

    Args:
        proposals: rows of `teacher_proposals`.
        known: sentences that are there, and the values that models learn or are judged by.
    """
    rows = list(proposals)
    said = Counter(bare(row["english"]) for row in rows if row["english"] is not None)
    admitted: list[Row] = []
    refused: list[Refusal] = []
    for row in rows:
        if (reason := row["problem"] or _why_not(row, known, said)) is None:
            admitted.append(row)
        else:
            refused.append(Refusal(row, reason))
    return admitted, refused


def _why_not(row: Row, known: Known, said: Mapping[str, int]) -> str | None:
    """Return the first rule that refuses a proposal, in words; None if all accept it."""
    try:
        value = parse(row[Format.HLXL], Format.HLXL)
    except HLXSyntaxError as error:
        return f"its value cannot be read: {error}"
    english, sha256 = row["english"], row["value_sha256"]
    if sha256 not in known.training:
        return "its value is held out" if sha256 in known.held_out else "its value is no training value"
    if reason := known.why_not_new(english, sha256):
        return reason
    if reason := next((reason for rule in _RULES if (reason := rule(english, value, row["known"]))), None):
        return reason
    return "the sentence was written for two entries" if said[bare(english)] > 1 else None


def _bounds(english: str, value: Value, known: str) -> str | None:
    if english != english.strip() or "  " in english or "\n" in english:
        return "it is not one line with single spaces"
    if len(english.split()) < min(2, len(known.split())):
        return "it has fewer than two words"
    most = LONGER * len(known) + MARGIN
    if len(english) > most:
        return f"it has {len(english):,} characters; at most {most:,} are in bounds beside the known sentence"
    texts = {format: render(value, format) for format in Format}
    longest = max(tokens_of(pair.prompt, pair.answer) for pair in translations(english, texts))
    return f"an example of it has {longest} tokens" if longest > DEFAULT_SEQ_LENGTH else None


def _symbols(english: str, value: Value, known: str) -> str | None:
    if unknown := unknown_characters(english):
        return f"a character is not in the vocabulary: {unknown[:10]!r}"
    rest = english
    for text in sorted(texts_of(value), key=len, reverse=True):
        rest = re.sub(re.escape(text), "", rest, flags=re.IGNORECASE)
    if other := _PLAIN.sub("", rest):
        return f"it is no plain sentence: {other[:10]!r}"
    return why_not_english(english) or None


def _reader(english: str, value: Value, known: str) -> str | None:
    """Refuse what speaks to its reader, or about its task."""
    found = _added(_TO_THE_READER, english, value, known)
    return f"it speaks to its reader: {found!r}" if found else None


def _one_sentence(english: str, value: Value, known: str) -> str | None:
    """Refuse a second sentence, which could say anything."""
    return "it is more than one sentence" if len(_ENDS.findall(english)) > len(_ENDS.findall(known)) else None


def _negated(english: str, value: Value, known: str) -> str | None:
    """Refuse a negation that neither the known sentence nor the value has."""
    if any(part is False or part is None or part in ([], {}) for part in parts_of(value)):
        return None
    found = _added(_NEGATION, english, value, known)
    return f"it adds {found!r}" if found else None


def _added(words: re.Pattern[str], english: str, value: Value, known: str) -> str | None:
    """Return the first of some words that is in a sentence, but not in the known one or a text of the value."""
    there = " ".join((known, *texts_of(value))).lower()
    return next((found for match in words.finditer(english) if (found := match[0]).lower() not in there), None)


def _reads_otherwise(english: str, value: Value, known: str) -> str | None:
    """Refuse a sentence that the composer's grammar says with other values only."""
    found = [other for _, other in readings(english)]
    if found and not any(same(other, value) for other in found):
        return f"it says another value: {render(found[0], Format.HLXL)[:80]}"
    return None


_RULES: tuple[Callable[[str, Value, str], str | None], ...] = (
    _bounds, _symbols, _reader, _one_sentence, _negated, why_not_literal, _reads_otherwise,
)  # fmt: skip


def read_again(admitted: Iterable[Row], lines: Callable[[list[Row]], Iterable[str]]) -> tuple[list[Row], list[Refusal]]:
    """Return the proposals that a corpus document of them is read with as they are, and the others.

    Args:
        admitted: proposals.
        lines: returns the lines of a document of proposals.
    """
    rows = list(admitted)
    if not rows:
        return [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "teacher.md"
        write_lines(path, lines(rows))
        document = read_document(path)
    read = {(entry.english, entry.texts[0]) for entry in document.entries if entry.texts}
    reasons = {entry.english: entry.reason for entry in document.quarantined}
    refused = [Refusal(row, reasons.get(row["english"], "a corpus document is not read with it as it is"))
               for row in rows if (row["english"], row[Format.HLXL]) not in read]  # fmt: skip
    no = {one.row["id"] for one in refused}
    return [row for row in rows if row["id"] not in no], refused
