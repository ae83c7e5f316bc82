"""Text of data as it is shown to people: nothing in it controls a terminal, is unseen, or has no end.

What a program reads (JSON, an answer or a document in a pipe) is not changed. Markdown and HTML need more than this
(`reporting/render.py`).
"""

import unicodedata

LONGEST = 500
"""Characters of a quoted text that are shown."""
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_PICTURES = {"\n": "⏎", "\t": "⇥", "\x7f": "␡"}


def show_unseen(text: str) -> str:
    """Replace control characters by pictures, and other characters that cannot be seen by codes: `⟨U+202E⟩`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(c) if unicodedata.category(c) in _UNSEEN else c for c in text)


def show_lines(text: str) -> str:
    """Return a text of several lines with `show_unseen` of each; tabs stay."""
    return "\n".join("\t".join(map(show_unseen, line.split("\t"))) for line in text.split("\n"))


def shorten(text: str, longest: int = LONGEST) -> str:
    """Return a text of at most some hundred characters; one that was longer ends with its length."""
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text):,} characters)"


def one_line(text: object, longest: int = 2 * LONGEST) -> str:
    """Return a message, which may quote data, as one line; of an error of the system, its file and its reason."""
    if isinstance(text, OSError) and text.strerror:
        text = f"{text.filename}: {text.strerror}" if text.filename else text.strerror
    return show_unseen(shorten(" ".join(str(text).split()), longest))


def is_utf8(text: str) -> bool:
    """Return whether a text, such as an argument or the name of a file, was decoded from UTF-8."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _shown(character: str) -> str:
    code = ord(character)
    return _PICTURES.get(character) or (chr(0x2400 + code) if code < 0x20 else f"⟨U+{code:04X}⟩")
