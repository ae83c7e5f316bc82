"""The detectors tell the outputs of broken models from those of healthy ones, by the right name of the fault."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from random import Random

import pytest

from hlx_model.composer.sampling import compose
from hlx_model.evaluation.detectors import collapse, diagnose, parroting, scrambled
from hlx_model.evaluation.gates.diversity import diversity
from hlx_model.evaluation.intervals import expected_distinct
from hlx_model.evaluation.thresholds import T
from hlx_model.language import Format
from hlx_model.model.tokenizer import CHARACTERS
from tests.support.documents import real_corpus, shared

Transcript = tuple[str, str]


def transcripts() -> dict[str, list[Transcript]]:
    """Return prompts and outputs of three broken models, by model; their glyphs were once decoded as Mac Roman."""
    path = shared("seeds", "003_488e42c5a7e17e3e.txt")
    found: dict[str, list[Transcript]] = {}
    for section in re.split(r"^### ", path.read_text(encoding="utf-8"), flags=re.MULTILINE):
        for pair in re.findall(r"^Prompt: (.*)\nOutput: (.*)$", section, re.MULTILINE):
            prompt, output = (text.encode("mac_roman").decode("utf-8") for text in pair)
            found.setdefault(section.split()[0], []).append((prompt, output))
    return found


def name(given: str, written: str, expected: str | None = None) -> str | None:
    return diagnose(given, written, expected)


# Outputs of broken models


def test_every_output_of_a_broken_model_gets_its_right_name() -> None:
    names = {model: [name(*transcript) for transcript in of_it] for model, of_it in transcripts().items()}
    assert names == {"10M": ["parroting"] * 5, "100M": ["scrambled"] * 4, "250M": ["collapse"] * 4}


def test_garbage_is_named_without_the_echo_of_its_prompt_too() -> None:
    of_model = transcripts()
    for model, expected in (("100M", "scrambled"), ("250M", "collapse")):
        for prompt, output in of_model[model]:
            assert name(prompt, output.removeprefix(prompt)) == expected


def test_the_thresholds_keep_a_distance_from_broken_outputs() -> None:
    def added(model: str) -> Iterator[str]:
        return (output.removeprefix(prompt) for prompt, output in of_model[model])

    of_model = transcripts()
    assert min(scrambled(text) for text in added("100M")) == pytest.approx(0.40, abs=0.005)
    assert min(collapse(text) for text in added("250M")) == 1.0


@pytest.mark.parametrize(
    ("given", "written", "expected"),
    [
        ("Sort the users", "Sort the users...", "parroting"),
        ("Sort the users", " Sort the users . ", "parroting"),
        ("Sort the users", "Sort the user", "parroting"),
        ("Sort the users", "Sort the users by age", "parroting"),
        ("Sort the users", "SORT THE USERS", "parroting"),
        ("null", "Null value", None),
        ("5", "5...", None),  # what parses is no parrot, unless something else was expected
        ("LC-R: 🜊14🜁0 5🜂 please", "LC-R: 🜊14🜁0 5🜂 please ......", "parroting"),
        ("Sort the users", "Sort the users;;;;;;;;;;", "collapse"),
        ("Sort the users", "Sort the users&h_ &h_ &h_ &h_ &h_ ", "collapse"),
        ("Sort the users", "}" * 200, "collapse"),
        ("Sort the users", "." * 200, "collapse"),
        ("Sort the users", "abab" * 3, "collapse"),
        ("Sort the users", "::::pppp", "collapse"),
        ("Sort the users", "::::pppp::::pppp", "collapse"),
        ("Sort the users", "the users and " * 4, "collapse"),
        ("Sort the users", '{1000: {@0: "sort"}' + "}" * 40, "collapse"),
        ("Sort the users", 'Sort the users00{@:tsor"x"🜁 &us1 @0🜂', "scrambled"),
        ("Sort the users", '1{🜁0:@"us"er,}C= 🜂', "scrambled"),
        ("Sort the users", "07:@sort 🜃 &x 🜄🜄 🜁", "scrambled"),
        ("", '🜂:"{1=@', "scrambled"),
        ("Sort the users", "Count the users", None),
        ("Sort the users", '{1000: {@0: "sort", @1: &h_users}}', None),
        ("Sort the users", '{1000: {@0: "sort", @1: &h_use', None),
        ("Sort the users", "🜃1, 1, 1, 1, 1, 1, 1, 1, 1🜄", None),
        ("Sort the users", "[[[[[[[[[[]]]]]]]]]]", None),
        ("Sort the users", '"::::::::::::::::::::::::"', None),
        ("Sort the users", "", None),
        ("Sort the users", "...", None),
        ("", "Sort the users", None),
    ],
)
def test_similar_texts_get_one_right_name_or_none(given: str, written: str, expected: str | None) -> None:
    assert name(given, written) == expected


@pytest.mark.parametrize(
    "sentence",
    [
        "Find user.name in data.json, then e-mail bob@example.com",
        'Represent the string "hello world" (with quotes)',
        "Search &doc for 3.14, -42 and 1,000 items",
        "Don't delete key=value pairs from /data/old.txt!",
        "Let x = 5 and y = 7",
        "Is C:\\temp\\logs well-known at 10:30? Yes: 90% of https://example.com/a",
        "Tag [draft] as #urgent, {final} as done...",
    ],
)
def test_sentences_with_names_numbers_and_quotes_pass(sentence: str) -> None:
    assert scrambled(sentence) < T.max_invalid_joint_share / 2
    assert diagnose("", sentence) is None


# Parroting


@pytest.mark.parametrize(
    ("given", "written", "expected", "found"),
    [
        ("42", "42", "42", False),
        ('"hello"', '"hello"', '"hello"', False),
        ("[100, 200, 300]", "🜃100, 200, 300🜄", "🜃100, 200, 300🜄", False),
        ("[100, 200, 300]", "🜃100, 200, 301🜄", "🜃100, 200, 300🜄", False),  # a slip, not an echo
        ("[100, 200, 300]", "[100, 200, 300]", "🜃100, 200, 300🜄", True),
        ("{a: [1, 2]}", "{a: [1, 2]}", "◇a: 🜃1, 2🜄◆", True),
        ("{a: [1, 2]}", "{a: [1, 2]}", None, False),
        ("Sort the users", 'Sort the users {1000: {@0: "sort"}}', '{1000: {@0: "sort"}}', False),  # behind an echo
        ("Sort the users", "Sort the users", '{1000: {@0: "sort", @1: &h_users}}', True),
    ],
)
def test_a_right_answer_may_be_what_was_given(given: str, written: str, expected: str | None, found: bool) -> None:
    assert name(given, written, expected) == ("parroting" if found else None)


@pytest.mark.parametrize(
    ("given", "written", "value"),
    [("Sort the users", "Sort the users;;;;", 1.0), ("5", "[0x05]", 2 / 7), ("", "Sort", 0.0), ("Sort", "", 0.0)],
)
def test_parroting_measures_similarity(given: str, written: str, value: float) -> None:
    assert parroting(given, written) == pytest.approx(value)


# Collapse and scrambled


@pytest.mark.parametrize(
    ("written", "expected", "found"),
    [
        ('"pppppppppppp"', '"search"', "collapse"),
        ('"pppppppppppp"', None, None),
        ("[1, 1, 1, 1, 1]", "[1, 1, 1, 1, 1, 1]", None),  # a slip in what is a run itself
    ],
)
def test_a_run_that_parses_is_a_collapse_where_none_was_expected(
    written: str, expected: str | None, found: str | None
) -> None:
    assert name("Search for documents", written, expected) == found


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (":" * 8, 1.0),
        (":" * 7, 0.0),
        ("a healthy beginning of a line " + ":" * 12, 0.5),
        ("a healthy beginning of a line " + ":" * 11, 11 / 24),
        ("users, " * 5, 1.0),
        ("users, files, orders, logs", 0.0),
        ("\n" * 12, 0.0),
        ("", 0.0),
    ],
)
def test_collapse_measures_the_longest_stretch(text: str, value: float) -> None:
    assert collapse(text) == pytest.approx(value)


def test_scrambled_measures_the_invalid_joints() -> None:
    assert scrambled("000:{@SEA\n") == 0.5


def test_damaged_strings_take_little_time() -> None:
    assert scrambled('"' + r"\a" * 2000 + "{") == 1  # a pattern that could read it in 2**2000 ways would hang


# Healthy texts

Texts = tuple[str, ...]
"""A sentence and its lines in the four formats."""


def texts_of(document: str) -> list[Texts]:
    """Return the entries of a document with one form a line, read without the reader that other tests are about."""
    forms = "\n".join(f"{label}: (.*)" for label in ("English", *Format))
    return re.findall(f"^{forms}$", document, re.MULTILINE)


@cache
def composed(values: int) -> list[Texts]:
    """Return one entry for each of that many composed values, of all sections."""
    by_value = {entry[1]: entry for entry in texts_of(compose(values * 4, seed=4))}
    return Random(4).sample(list(by_value.values()), values)


def flagged(entries: Sequence[Texts]) -> list[tuple[str, str, str]]:
    """Return what the detectors find in lines and sentences, alone and as answers to each other."""
    found = []
    for sentence, *lines in entries:
        alone = [("", text) for text in (sentence, *lines)]
        answers = [pair for line in lines for pair in ((sentence, line), (line, sentence))]
        found += [("collapse", "", text) for _, text in alone if collapse(text) >= T.max_repeated_share]
        found += [("scrambled", "", text) for _, text in alone if scrambled(text) >= T.max_invalid_joint_share]
        found += [("parroting", *pair) for pair in answers if parroting(*pair) >= T.max_prompt_similarity]
        found += [("diagnose", given, text) for given, text in (*alone, *answers) if diagnose(given, text)]
    return found


def test_a_real_document_is_free_of_detections() -> None:
    entries = texts_of(real_corpus().read_text(encoding="utf-8"))
    assert len(entries) == 164
    assert flagged(entries) == []


@pytest.mark.parametrize("values", [1_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_composed_values_are_free_of_detections(values: int) -> None:
    entries = composed(values)
    assert len(entries) == values
    assert flagged(entries) == []


# Slips of healthy models, and healthy texts destroyed


def _replaced(rng: Random, text: str, pattern: str, by: str) -> str:
    """Replace one place that matches `pattern` by a symbol of `by`, or by nothing if that is empty."""
    places = [found.start() for found in re.finditer(pattern, text)]
    if not places:
        return text
    place = rng.choice(places)
    return text[:place] + (rng.choice(by) if by else "") + text[place + 1 :]


def _swapped(rng: Random, text: str) -> str:
    place = rng.randrange(len(text))
    return text[:place] + text[place : place + 2][::-1] + text[place + 2 :]


SLIPS: dict[str, Callable[[Random, str], str]] = {
    "a wrong digit": lambda rng, text: _replaced(rng, text, r"\d", "0123456789"),
    "a wrong letter": lambda rng, text: _replaced(rng, text, "[a-z]", "abcdefghijklmnopqrstuvwxyz"),
    "a bracket, bar or quote missing": lambda rng, text: _replaced(rng, text, r'[][{}|"🜊🜂🜃🜄◇◆]', ""),
    "a symbol missing": lambda rng, text: _replaced(rng, text, ".", ""),
    "any symbol instead of another": lambda rng, text: _replaced(rng, text, ".", CHARACTERS),
    "two neighbours swapped": _swapped,
    "cut at the end": lambda rng, text: text[: len(text) - rng.randint(0, len(text) // 2)],
}


@pytest.mark.parametrize("slip", SLIPS)
def test_few_slips_are_flagged(slip: str) -> None:
    """Measured: 0 to 0.7%; 1.6% if any symbol, a glyph too, replaces another."""
    rng = Random(5)
    slips = [SLIPS[slip](rng, text) for entry in composed(1_000)[::2] for text in entry]
    assert sum(diagnose("", text) is not None for text in slips) <= 0.02 * len(slips)


def test_destroyed_lines_are_scrambled() -> None:
    """Symbols are shuffled, of another vocabulary, or random. Measured: 85%, 100% and 99%."""
    rng = Random(6)
    others = "".join(rng.sample(CHARACTERS, len(CHARACTERS)))
    wrecks: dict[str, Callable[[str], str]] = {
        "shuffled": lambda text: "".join(rng.sample(text, len(text))),
        "permuted": lambda text: text.translate(str.maketrans(CHARACTERS, others)),
        "random": lambda text: "".join(rng.choices(CHARACTERS, k=len(text))),
    }
    lines = [line for entry in composed(1_000)[::3] for line in entry[1:] if len(line) >= 12]
    for wreck, change in wrecks.items():
        names = Counter(name("", change(line)) for line in lines)
        assert names["scrambled"] >= 0.8 * len(lines), (wreck, names)


# Diversity


@pytest.mark.parametrize(
    ("texts", "corpus_texts", "value", "found"),
    [
        ([str(i) for i in range(64)], 10_000, 1.0, False),
        (["the same"] * 64, 10_000, 1 / 64, True),
        (["a", "b"] * 32, 2, 1.0, False),  # a corpus of two texts gives no more
        (["a"] * 64, 1, 1.0, False),
        ([str(i // 2) for i in range(64)], 10_000, 0.5, False),
        ([str(i // 3) for i in range(64)], 10_000, 22 / 64, True),
    ],
)
def test_diversity_compares_with_what_the_corpus_would_give(
    texts: list[str], corpus_texts: int, value: float, found: bool
) -> None:
    gate = diversity({1.0: texts}, expected_distinct(len(texts), corpus_texts))
    assert gate.value == pytest.approx(value)
    assert gate.outcome == ("fail" if found else "pass")
    assert gate.reason.startswith(f"{len(set(texts))} distinct texts among 64")
