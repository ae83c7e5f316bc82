"""Make the texts that the model sees: prompts and answers, and those that an entry gives.

An example is `prompt + answer`: what is wanted, what is given, the arrow, the answer.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hlx_model.language import Format

ENGLISH = "English"

ARROW = " → "
"""What is between a prompt's text and the answer."""
ENGLISH_PROMPT = f"[{ENGLISH}] "
"""How a prompt for English begins."""
CONVERSIONS = tuple((target, source) for target in Format for source in Format if target is not source)


@dataclass(frozen=True)
class Example:
    """One translation: `given`, in `source`, is answered by `answer`, in `target`.

    `source` and `target` are the tags of formats, or `ENGLISH`.
    """

    target: str
    source: str
    given: str
    answer: str

    @property
    def prompt(self) -> str:
        """Return the text up to the answer, as `prompt` writes it."""
        return prompt(self.target, self.given)


def prompt(target: str, given: str) -> str:
    """Return the text up to the answer, with the space at its end: `[HLXL] Search for documents → `.

    Args:
        target: what is wanted: the tag of a format, or `ENGLISH`.
        given: a sentence, or a line of any format.
    """
    return f"[{target}] {given}{ARROW}"


def given(text: str) -> str:
    """Return what a prompt gives: the inverse of `prompt`."""
    return text.partition("] ")[2].removesuffix(ARROW)


def answer_start(text: str) -> int:
    """Where the answer begins in a text of prompt and answer; 0 in a text that has no prompt."""
    _, arrow, answer = text.partition(ARROW)
    return len(text) - len(answer) if arrow else 0


def answers_in_english(text: str) -> bool:
    """Return whether a text is a prompt for English and its answer."""
    return text.startswith(f"[{ENGLISH}] ") and ARROW in text


def tokens_of(*texts: str) -> int:
    """Return the number of tokens of an example: one a character of its texts, `<BOS>` and `<EOS>`."""
    return sum(map(len, texts)) + 2


def value_sha256(hlxl: str) -> str:
    """Return the identity of a value: the SHA-256 of its canonical HLXL, in hexadecimal."""
    return hashlib.sha256(hlxl.encode()).hexdigest()


def translations(english: str, texts: Mapping[Format, str]) -> Iterator[Example]:
    """Yield the examples of a sentence: into each format, and from each format."""
    for target in Format:
        yield Example(target, ENGLISH, english, texts[target])
    for source in Format:
        yield Example(ENGLISH, source, texts[source], english)


def conversion(texts: Mapping[Format, str]) -> Example:
    """Return the one example of a value between two formats; the value's hash chooses the pair of formats.

    One and not twelve, so that conversions do not crowd out translations; by the hash, so that all
    twelve occur equally often and the choice never changes.
    """
    target, source = CONVERSIONS[conversion_of(texts[Format.HLXL])]
    return Example(target, source, texts[source], texts[target])


def conversion_of(hlxl: str) -> int:
    """Return which of `CONVERSIONS` a value has; by its canonical HLXL."""
    return int(value_sha256(hlxl), 16) % len(CONVERSIONS)
