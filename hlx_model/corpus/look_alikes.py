"""Name the characters outside the vocabulary, and those of the vocabulary that were probably meant.

Generators write a glyph's code point with a wrong block (`🐊` U+1F40A for `🜊` U+1F70A), word processors curly quotes,
other keyboards full-width brackets. On a screen they often look right.
"""

import re
import unicodedata

from hlx_model.language import GRAMMARS, Format
from hlx_model.model.tokenizer import CHARACTERS, unknown_characters

_ALIKE = {
    "'": "‘’‚‛′ʹʼˈ´", '"': "“”„‟″«»〝〞", "-": "‐‑‒–—―−﹘", "<": "‹〈⟨", ">": "›〉⟩", "/": "⁄∕", "\\": "∖⧵", "|": "∣│¦",
    "*": "∗⁎×", "~": "∼˜", ":": "∶ː", ".": "․。", ",": "、", "`": "ˋ", "{": "❴", "}": "❵", "[": "❲", "]": "❳",
    "→": "⇒⟶⟹➔➜➝➞➙➡⇨↦", "∅": "Øø⌀⦰", "⊤": "┬⟙ᅮ", "⊥": "┴⟘⟂", "⟁": "◬⨺⧊", "⊠": "☒⌧⛝🞬", "◇": "◊⋄♢⬦⟡🞜", "◆": "♦⬥❖⯁🞙",
    "🜂": "△▵🔺", "🜄": "▽▿🔻", "λ": "ƛʎ", "∀": "Ɐ", "∃": "Ǝ∄",
}  # fmt: skip
_MEANT = {alike: meant for meant, characters in _ALIKE.items() for alike in characters}
_GLYPHS = [character for character in CHARACTERS if not character.isascii()]
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_SHOWN = 5


def unknown_reason(text: str, language: str) -> str:
    """Return which characters of a text the vocabulary lacks, each by code point, and what was probably meant.

    Args:
        text: a sentence or HLX.
        language: `English`, or the tag of the format.
    """
    unknown = unknown_characters(text)
    if not unknown:
        return ""
    named = [f"{_named(c)[:-1]} {unicodedata.name(c, 'no name')})" for c in unknown[:_SHOWN]]
    more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
    reason = f"{language} has characters outside the vocabulary: {', '.join(named)}{more}"
    hlx = language in list(Format)
    outside = _STRING.sub("", text) if hlx else ""  # in a string no glyph is meant
    meant = list(dict.fromkeys(meant for c in unknown if (meant := probably_meant(c, glyph=c in outside))))
    if not meant:
        return reason
    said = ", ".join(" ".join(map(_named, text)) for text in meant[:_SHOWN])
    reason += f"; {said} {'is' if len(meant) == 1 else 'are'} probably meant"
    if hlx and not set(meant).isdisjoint(signs := [c for c in GRAMMARS[Format(language)].marks if c > "\uffff"]):
        reason += f"; {language} has {', '.join(map(_named, signs))}"
    return reason


def probably_meant(character: str, *, glyph: bool) -> str:
    """Return what was probably meant by a character outside the vocabulary; "" if nothing suggests itself.

    Args:
        character: one.
        glyph: whether it may be meant as a glyph of a format.
    """
    if meant := _MEANT.get(character, ""):
        return meant if meant.isascii() or glyph else ""
    compatible = unicodedata.normalize("NFKC", character)
    if not unknown_characters(compatible) and compatible.strip("\n"):
        return compatible
    if not glyph:
        return ""
    code, kind = ord(character), unicodedata.category(character)
    cut = [c for c in _GLYPHS if code in (ord(c) & 0xFFFF, ord(c) & 0xFF)]
    wrong_block = [c for c in _GLYPHS if (ord(c) ^ code) & 0xFF == 0 and ord(c) >> 16 == code >> 16]
    is_symbol = kind == "Sm" or (code > 0xFFFF and kind in ("So", "Cn", "Co"))
    return min(cut or (wrong_block if is_symbol else []), key=lambda c: ord(c) ^ code, default="")


def _named(character: str) -> str:
    return f"{character if character.isprintable() else '?'} (U+{ord(character):04X})"
