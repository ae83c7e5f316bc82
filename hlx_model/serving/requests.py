"""A translation request: the text, its source and target language, and the prompt that the model has learned for it."""

import re
from typing import Annotated, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hlx_model.corpus.prompts import ENGLISH, prompt
from hlx_model.corpus.rules import parses, values
from hlx_model.language import Format
from hlx_model.model.generation import MAX_PROMPT
from hlx_model.model.tokenizer import unknown_characters
from hlx_model.shown import show_unseen

LANGUAGES = (*map(str, Format), ENGLISH)
"""What a model translates from and into."""

_TAG = re.compile(r"\[([A-Za-z][\w -]{0,19})\] ?(.*)", re.DOTALL)
Item = TypeVar("Item")
Items = Annotated[list[Item], Field(max_length=1_024)]
"""A list in a body. An error for each of 100,000 items would take seconds."""
_MOST_FIELDS = 16


class TranslateRequest(BaseModel):
    """A text to translate."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    text: str
    """An English sentence, or a line of HLX."""
    to: str | None = None
    """A format of HLX or English; by default HLXL for a sentence, and English for a line of HLX."""
    source: str | None = Field(None, alias="from")
    """What the text is, as `to`; by default what the parsers find."""

    @model_validator(mode="before")
    @classmethod
    def _few_fields(cls, found: object) -> object:
        # An error for each of 80,000 unknown fields would take seconds.
        if isinstance(found, dict) and len(found) > _MOST_FIELDS:
            raise ValueError(f"has {len(found):,} fields: text, to and from are all there are")
        return found


class TranslationTask(NamedTuple):
    """A text to translate."""

    source: str
    target: str
    text: str

    @property
    def prompt(self) -> str:
        """Return the text up to the answer, as the model has learned it."""
        return prompt(self.target, self.text)

    def well_formed(self, answer: str) -> bool:
        """Return whether an answer is a line of its format; every English answer is well-formed."""
        return self.target == ENGLISH or parses(answer, Format(self.target))


def translation_task(text: str, target: str | None = None, source: str | None = None) -> TranslationTask:
    """Return a translation that a model can be asked for.

    Args:
        text: an English sentence, or a line of HLX.
        target: a format or `English`; by default HLXL for a sentence, and English for a line of HLX.
        source: a format or `English`; by default what the parsers find: a line of no format is English.

    Raises:
        ValueError: one line that names `text`, `to` or `from` and says what is wrong with it.
    """
    target = None if target is None else language("to", target)
    source = None if source is None else language("from", source)
    if len(text) > MAX_PROMPT:  # parsing it may take long
        raise _too_long(text, target or Format.HLXL)
    if not text.strip():
        raise ValueError("text is empty: give a sentence, or a line of HLX")
    if unknown := unknown_characters(text):
        raise ValueError(f"text has characters that the model does not know: {quoted(unknown)}")
    found = list(map(str, values(text)))
    if source is None:
        source = next((format for format in found if format != target), found[0] if found else ENGLISH)
    elif source != ENGLISH and source not in found:
        raise ValueError(f"from is {source}, and text is no line of {source}")
    if target is None:
        target = str(Format.HLXL) if source == ENGLISH else ENGLISH
    if source == target:
        if source == ENGLISH:
            raise ValueError(f"to is {target}, and text is no line of HLX: to translate a sentence, name a format")
        raise ValueError(
            f"to is {target}, and text is a line of {target} already: if it is a sentence, from is English"
        )
    if source == ENGLISH and (tagged := tag(text)):
        raise ValueError(f"text begins with the tag [{tagged[0]}]: name what to translate into with `to`")
    asked = TranslationTask(source, target, text)
    if len(asked.prompt) > MAX_PROMPT:
        raise _too_long(text, target)
    return asked


def tag(text: str) -> tuple[str, str] | None:
    """Return the tag that a text begins with, such as `LC-R` of `[LC-R] Sort`, and the text after it; None without."""
    match = _TAG.fullmatch(text)
    return (match[1], match[2]) if match and not values(text) else None


def language(name: str, given: str) -> str:
    """Return a language by its name as people write it.

    Raises:
        ValueError: there is no such language; `name` is what the line calls the field.
    """
    if given.casefold() == ENGLISH.casefold():
        return ENGLISH
    try:
        return str(Format(given))
    except ValueError:
        raise ValueError(f"{name} is {quoted(given)}: choose one of {', '.join(LANGUAGES)}") from None


def _too_long(text: str, target: str) -> ValueError:
    most = MAX_PROMPT - len(prompt(target, ""))
    return ValueError(f"text is too long: it has {len(text):,} characters, and at most {most} fit")


def quoted(text: str, longest: int = 40) -> str:
    """Return characters of a request as they can be repeated in an answer: no surrogate, nothing unseen."""
    return repr(show_unseen(text[:longest]))
