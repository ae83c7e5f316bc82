"""Read the meaning of an entry: its sentence, and the one value that all of its formats have.

Reasons and texts of quarantined entries are part of the data version of the examples: their wording must not change.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from hlx_model.corpus import rules
from hlx_model.corpus.entries import SENTENCE, Entry, listed, operation_of
from hlx_model.corpus.look_alikes import unknown_reason
from hlx_model.corpus.parts import Block, label_of
from hlx_model.corpus.prompts import ENGLISH, conversion, prompt, tokens_of, translations
from hlx_model.corpus.rules import values
from hlx_model.language import Format, HLXSyntaxError, Value, notation_at, parse, render, same
from hlx_model.model.tokenizer import unknown_characters

MOST_AROUND = tokens_of(prompt(ENGLISH, ""))
"""The most tokens of an example beside its two texts."""


class DefectError(Exception):
    """An entry goes to quarantine. Its arguments: the rule that it breaks, the reason in one line, the wrong text."""


class ProseError(Exception):
    """Labels or fenced blocks turn out to be prose; the message is listed among the readings, unless it is empty."""


def entry_of(block: Block, name: str, taken: list[str]) -> Entry:
    """Return the entry of a block, and add to `taken` how ambiguous forms were read.

    Raises:
        DefectError: it goes to quarantine.
        ProseError: it is prose.
    """
    if block.defect:
        raise DefectError(*block.defect)
    _exchange(block, taken)
    english = _sentence(block, taken)
    parts = block.parts
    place = name, block.line, parts[0].line, max(part.last_line for part in parts), parts[0].section
    taken += sorted(frozenset[str]().union(*(part.readings for part in parts)))
    if english is not None and block.alone:
        taken.append("a sentence without HLX serves phase 1 alone")
        return Entry(*place, SENTENCE, english, ())
    value, given, canonical = _agreed_value(block, english, taken)
    texts = canonical or {format: render(value, format) for format in Format}
    for format, text in () if canonical else texts.items():
        _require_known(format, text)
    if any(texts[format] != text for format, text in given.items()):
        taken.append("a spelling that is not canonical is learned in the canonical one")
    rendered = tuple(format for format in Format if format not in given)
    if rendered:
        taken.append(f"{listed(rendered)} rendered from {listed(given)}")
    if english is None:
        taken.append("HLX without a sentence serves phase 2 alone")
    if any(part.line < block.line for part in block.formats.values()):
        taken.append("the sentence is below its HLX")
    return Entry(*place, operation_of(value), english, tuple(texts.values()), rendered)


def _exchange(block: Block, taken: list[str]) -> None:
    """Exchange sentence and HLX, if the text of each label is one of the other: `English: 7`, `HLXL: Number seven`."""
    if block.english is None or len(block.formats) != 1 or block.repeated or block.unnamed:
        return
    ((format, hlx),) = block.formats.items()
    if rules.parses(block.english.text, format) and rules.is_english(hlx.text) and not rules.parses(hlx.text, format):
        block.english.lines, hlx.lines = hlx.lines, block.english.lines
        taken.append(f"English and {format} are exchanged")


def _sentence(block: Block, taken: list[str]) -> str | None:
    """Return the sentence of a block on one line; None if it has no English label; raises `DefectError`."""
    if block.english is None:
        return None
    lines = block.english.lines
    below = block.english.sentence_lines
    if rest := lines[below:]:
        # Lines that do not continue it are its HLX, without a label.
        reason = f"`{rest[0]}` below it could go on with the sentence: write that on one line, prose after a blank one"
        if block.formats or block.unnamed or not values("\n".join(rest)):
            raise DefectError(rules.SENTENCE_ENDS, reason, rest[0])
        block.unnamed.append(replace(block.english, label="", lines=rest))
        block.unclear = False
    english = " ".join(lines[:below])
    if not english:
        raise DefectError(rules.NOT_EMPTY, "the English sentence is empty", "")
    _require_known("English", english)
    if why := rules.why_not_english(english):
        raise DefectError(rules.IS_ENGLISH, f"the sentence {why}", english)
    if below > 1:
        taken.append("a sentence continues in the line below it")
    return english


def _agreed_value(
    block: Block, english: str | None, taken: list[str]
) -> tuple[Value, Mapping[Format, str], Mapping[Format, str]]:
    """Return the value of all formats of a block, the text of each, and its text in every format if they are canonical.

    Raises `DefectError` or `ProseError`.
    """
    if block.unclear:
        reason = "its HLX could stand above it or below it: let them follow each other without a blank line"
        raise DefectError(rules.HAS_HLX, reason, english or "")
    if block.repeated:
        again = block.repeated[0]
        repeated = listed(dict.fromkeys(block.repeated))
        raise DefectError(rules.ONCE, f"{repeated} given more than once", block.formats[again].text)
    for format, part in block.formats.items():
        if label_of(part.language) not in (None, format):
            reason = f"{format} is the label of a fenced block in {label_of(part.language)}"
            raise DefectError(rules.ONCE, reason, part.text)
    written = {format: block.formats[format] for format in Format if format in block.formats}
    if empty := [format for format, part in written.items() if not part.lines]:
        taken.append(f"{listed(empty)} left empty counts as missing")
    given = {format: part.text for format, part in written.items() if part.lines}
    if not given:
        return *_unnamed(block, english, taken), {}
    taken += ["HLX over several lines is one value" for part in written.values() if len(part.lines) > 1]
    if agreed := read_canonical(tuple(given.items())):
        _require_same_unnamed(block, agreed[0], given)
        return agreed[0], given, agreed[1]
    read: dict[Format, Value] = {}
    errors: dict[Format, HLXSyntaxError] = {}
    for format, text in given.items():
        first = next(iter(read.values()), None)
        try:
            # A canonical text need not be parsed.
            read[format] = first if read and text == render(first, format) else parse(text, format)
        except HLXSyntaxError as error:
            errors[format] = error
    if errors:
        if english is None and not read and all(error.position == 0 for error in errors.values()):
            raise ProseError("format labels without a sentence and without HLX are prose")
        format, unread = next(iter(errors.items()))
        _require_known(format, unread.text)
        shown = " ".join(unread.text.split("\n"))
        other = notation_at(unread)
        hint = f": `{unread.excerpt}` is {other}'s notation" if other else ""
        raise DefectError(rules.PARSES, f"{format} `{shown}` cannot be read: {unread}{hint}", unread.text)
    first = next(iter(read.values()))
    if not all(value is first or same(value, first) for value in read.values()):
        raise DefectError(rules.SAME_VALUE, *_disagreement(given, read))
    _require_same_unnamed(block, first, given)
    return first, given, {}


@lru_cache(maxsize=1 << 12)
def read_canonical(given: tuple[tuple[Format, str], ...]) -> tuple[Value, Mapping[Format, str]] | None:
    """Return the value of texts, and its text in every format, if each is canonical and in the vocabulary; else None.

    Nearly all texts are, and the sentences of one value follow each other in most documents.
    """
    try:
        value = parse(given[0][1], given[0][0])
    except HLXSyntaxError:
        return None
    texts = {format: render(value, format) for format in Format}
    canonical = all(texts[format] == text for format, text in given) and not any(
        map(unknown_characters, texts.values())
    )
    return (value, texts) if canonical else None


def _require_same_unnamed(block: Block, value: Value, given: Mapping[Format, str]) -> None:
    """Require that HLX without a label can be read as the value of the other texts; raises `DefectError`."""
    for part in block.unnamed:
        if (said := values(part.text)) and not any(same(found, value) for found in said.values()):
            reason = f"HLX that names no format reads as {render(next(iter(said.values())), Format.HLXL)} where "
            raise DefectError(rules.SAME_VALUE, f"{reason}{listed(given)} say {render(value, Format.HLXL)}", part.text)


def _unnamed(block: Block, english: str | None, taken: list[str]) -> tuple[Value, Mapping[Format, str]]:
    """Return the value of HLX without a label, and its text in the format that can parse it; raises the same."""
    if english is None:
        hlx = any(values(part.text) for part in block.unnamed)
        raise ProseError("HLX that names no format and has no sentence is not read" if hlx else "")
    if not block.unnamed:
        reason = "no HLX between this sentence and the next, or prose, a heading or a rule"
        raise DefectError(rules.HAS_HLX, reason, english)
    # A block in another language is HLX only if a format can parse it; one without a language should be HLX.
    texts = [part.text for part in block.unnamed if not part.language or values(part.text)]
    if not texts:
        raise DefectError(rules.HAS_HLX, "no HLX, only fenced blocks in other languages: label its HLX", english)
    text, *others = texts
    if others:
        raise DefectError(rules.HAS_HLX, "several fenced blocks that name no format: label its HLX", text)
    readings = values(text)
    if not readings:
        raise DefectError(rules.PARSES, "its HLX reads in no format: label it with its format", text)
    format, value = next(iter(readings.items()))
    taken.append(f"HLX that names no format is read as {format}")
    if differing := [other for other, reading in readings.items() if not same(reading, value)]:
        taken.append(f"HLX that names no format is another value in {listed(differing)}; that of {format} is taken")
    return value, {format: text}


def _disagreement(given: Mapping[Format, str], values: Mapping[Format, Value]) -> tuple[str, str]:
    """Return which formats have another value than most of them, in one line, and their texts."""
    written = {format: render(value, Format.HLXL) for format, value in values.items()}
    readings = list(written.values())
    most = max(readings, key=readings.count)
    others = {format: text for format, text in written.items() if text != most}
    agreeing = [format for format, text in written.items() if text == most]
    said = [f"{format} `{' '.join(given[format].split())}` reads as {text}" for format, text in others.items()]
    reason = f"{' and '.join(said)} where {listed(agreeing)} say{'s' * (len(agreeing) == 1)} {most}"
    return reason, "; ".join(given[format] for format in others)


def left_out_examples(entry: Entry, seq_length: int) -> str:
    """Return which examples of an entry have over `seq_length` tokens, in words; raises `DefectError` if all have."""
    longest = max(map(len, entry.texts), default=0)
    if MOST_AROUND + longest + max(longest, len(entry.english or "")) <= seq_length:
        return ""
    texts = dict(zip(Format, entry.texts, strict=False))
    examples = {} if entry.english is None else {ENGLISH: entry.english}
    examples |= {str(format): text for format, text in texts.items()}
    pairs = [*translations(entry.english, texts), conversion(texts)] if entry.english and texts else []
    examples |= {f"{pair.source} to {pair.target}": pair.prompt + pair.answer for pair in pairs}
    tokens = {name: tokens_of(text) for name, text in examples.items()}
    left_out = [f"{name} ({count})" for name, count in tokens.items() if count > seq_length]
    if len(left_out) == len(examples):
        name = min(tokens, key=tokens.__getitem__)
        reason = f"its shortest example, {name}, has {tokens[name]} tokens, over {seq_length}"
        raise DefectError(rules.FITS, reason, examples[name])
    counted = f"{len(left_out)} of its {len(examples)} examples left out, over {seq_length} tokens"
    return f"{counted}: {', '.join(left_out)}" if left_out else ""


def _require_known(label: str, text: str) -> None:
    """Require that the vocabulary has every character; raises `DefectError`."""
    if reason := unknown_reason(text, label):
        raise DefectError(rules.IN_VOCABULARY, reason, text)
