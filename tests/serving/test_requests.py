"""Translation requests: their directions, how the source is found, and what is refused."""

import pytest

from hlx_model.model.generation import MAX_PROMPT
from hlx_model.serving.requests import TranslationTask, translation_task

HLXL = '{1000: {@0: "sort", @1: &h_users}}'
LC_T = '{C:1000,0="sort",1=@users}'


@pytest.mark.parametrize(
    "text, target, source, expected",
    [
        ("Sort all users", None, None, ("English", "HLXL")),
        ("Sort all users", "lc_r", None, ("English", "LC-R")),
        (HLXL, None, None, ("HLXL", "English")),
        (HLXL, "english", None, ("HLXL", "English")),
        (LC_T, "HLXL", None, ("LC-T", "HLXL")),
        (LC_T, "LC-B", "lc–t", ("LC-T", "LC-B")),
        ("null", "LC-T", "English", ("English", "LC-T")),  # a word that is a line of HLX too
        (HLXL, "LC-R", "English", ("English", "LC-R")),
    ],
)
def test_a_direction_is_found(text: str, target: str | None, source: str | None, expected: tuple[str, str]) -> None:
    asked = translation_task(text, target, source)
    assert (asked.source, asked.target) == expected
    assert asked.prompt == f"[{asked.target}] {text} → "


@pytest.mark.parametrize(
    "text, target, source, said",
    [
        ("", "HLXL", None, "text is empty"),
        ("  \n", "HLXL", None, "text is empty"),
        ("Grüße", "HLXL", None, "characters that the model does not know: 'üß'"),
        ("\ud800", "HLXL", None, "characters that the model does not know: '⟨U+D800⟩'"),
        ("a\0b", "HLXL", None, "characters that the model does not know: '␀'"),
        ("Sort", "HLX", None, "to is 'HLX': choose one of HLXL, LC-R, LC-T, LC-B, English"),
        ("Sort", "HLXL", "French", "from is 'French': choose one of"),
        ("Sort", "English", None, "to is English, and text is no line of HLX: "),
        ("Sort", "English", "English", "to is English, and text is no line of HLX: "),
        ("Sort", "HLXL", "LC-T", "from is LC-T, and text is no line of LC-T"),
        (HLXL, "HLXL", None, "to is HLXL, and text is a line of HLXL already: if it is a sentence, from is English"),
        ("[LC-R] Sort", "HLXL", None, "text begins with the tag [LC-R]: name what to translate into with `to`"),
        ("[Klingon] Sort", None, None, "text begins with the tag [Klingon]"),
        ("a" * 600, "x" * 600, None, "to is 'xxx"),
        ("a" * 498, "English", "HLXL", "from is HLXL, and text is no line of HLXL"),
        (HLXL, "HLXL", "HLXL", "to is HLXL, and text is a line of HLXL already"),
        ("a" * MAX_PROMPT, "HLXL", None, f"it has {MAX_PROMPT} characters, and at most 500 fit"),
    ],
)
def test_what_cannot_be_translated_is_one_line(text: str, target: str, source: str | None, said: str) -> None:
    with pytest.raises(ValueError) as error:
        translation_task(text, target, source)
    assert said in str(error.value) and "\n" not in str(error.value)
    str(error.value).encode()


def test_every_answer_in_english_is_well_formed() -> None:
    assert TranslationTask("HLXL", "English", HLXL).well_formed("{")
    assert TranslationTask("English", "LC-T", "Sort").well_formed(LC_T)
    assert not TranslationTask("English", "LC-T", "Sort").well_formed(HLXL)
