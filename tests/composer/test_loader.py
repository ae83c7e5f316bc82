"""The grammar's files are read, and a mistake in one is named in one line."""

import hashlib
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from hlx_model.composer.lexicon import Choice, Words, read_lexicon
from hlx_model.composer.loader import GRAMMAR, load_grammar, operations
from hlx_model.language import Format, Handle, render

PINNED = "bae7595e2429815c002827cfb0dec6e2bd1aa7c45cee1bdada680e5e4ccabdf8"
LEXICON = """
[n]
numbers = ["1..3"]
[things]
handles = ["users", "test files"]
[others]
unlike = "things"
"""
WORDS = 'noun = "cat dog"\nadjective = "old new"\nnever = "the of"\n'
SEARCH = "value = '{1000: {@0: \"search\", @1: <things>}}'"
GOOD = f'section = "Basic"\n[[operation]]\n{SEARCH}\nphrasings = ["Search <things>", "Find <things>"]\n'


def written(folder: Path, section: str, lexicon: str = LEXICON) -> Path:
    (folder / "lexicon.toml").write_text(lexicon, encoding="utf-8")
    (folder / "words.toml").write_text(WORDS, encoding="utf-8")
    (folder / "1-basic.toml").write_text(section, encoding="utf-8")
    return folder


def operation(value: str, *phrasings: str) -> str:
    return f"section = 'Basic'\n[[operation]]\nvalue = '{value}'\nphrasings = {list(phrasings)}\n"


def test_the_grammar_is_what_it_was() -> None:
    """A change of a word, an operation or their order makes other corpora: write the new digest, knowingly."""
    digest = hashlib.sha256()
    for path in sorted(GRAMMAR.glob("*.toml")):
        digest.update(repr((path.name, tomllib.loads(path.read_text(encoding="utf-8")))).encode())
    assert digest.hexdigest() == PINNED


def test_an_operation_is_added_by_editing_one_file(tmp_path: Path) -> None:
    for path in GRAMMAR.glob("*.toml"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    section = tmp_path / "02-basic-operations.toml"
    addition = """
[[operation]]
value = '{1000: {@0: "polish", @1: <thing>, @2: <n>}}'
phrasings = ["Polish the <thing> <n> times", "Rub the <thing> <n:spelled> times"]
"""
    section.write_text(section.read_text(encoding="utf-8") + addition, encoding="utf-8")
    before, after = operations(), load_grammar(tmp_path)
    shapes = [render(each.template, Format.HLXL) for each in before]
    added = [each for each in after if render(each.template, Format.HLXL) not in shapes]
    assert len(added) == 1 and len(after) == len(before) + 1
    filling = {"thing": Choice(Handle("model"), "model"), "n": Choice(2, "2", "two")}
    assert render(added[0].value(filling), Format.HLXL) == '{1000: {@0: "polish", @1: &h_model, @2: 2}}'
    assert "Rub the {thing} {n:spelled} times" in added[0].phrasings[1]
    assert added[0].section == "Basic operations"


def test_a_slot_that_is_unlike_another_never_has_its_choice(tmp_path: Path) -> None:
    join = operation("[<things>, <others>]", "Join <things> and <others>", "Join <others> to <things>")
    (each,) = load_grammar(written(tmp_path, join))
    rng = Random(0)
    values = [each.value(each.draw(rng)) for _ in range(40)]
    users, files = Handle("users"), Handle("testFiles")
    assert [users, files] in values and [files, users] in values and [users, users] not in values


def test_a_phrasing_stands_for_its_alternatives_in_digits_and_in_words(tmp_path: Path) -> None:
    skip = operation("[<things>, <n>]", "(Skip|Leave out) (the|) <n> <things>", "Wait <n:digits> <things>")
    (each,) = load_grammar(written(tmp_path, skip))
    filling = {"things": Choice(Handle("dogs"), "dogs"), "n": Choice(2, "2", "two")}
    wordings = [each.draw_wording(Random(seed)) for seed in range(400)]
    said = Counter(each.say(wording, filling) for wording in wordings)
    starts = ("Skip the", "Skip", "Leave out the", "Leave out")
    assert set(said) == {f"{start} {n} dogs" for start in starts for n in ("2", "two")} | {"Wait 2 dogs"}
    # The first phrasings and alternatives are the usual ones, and beside another slot digits.
    usual = said["Skip the 2 dogs"]
    assert usual > 2 * said["Leave out 2 dogs"] and usual > said["Skip the two dogs"]


def test_open_names_are_made_of_the_word_lists_and_others_are_read(tmp_path: Path) -> None:
    lexicon = "[pets]\nhandles = ['lucky fish']\nopen = ['<adjective> <plural>']\n"
    (each,) = load_grammar(written(tmp_path, operation("[<pets>]", "Feed <pets>"), lexicon))
    rng = Random(1)
    drawn = {render(each.value(each.draw(rng)), Format.HLXL) for _ in range(200)}
    assert drawn == {"[&h_luckyFish]", "[&h_oldCats]", "[&h_oldDogs]", "[&h_newCats]", "[&h_newDogs]"}
    (pieces,) = each.pieces
    read = {words: list(each.read(f"Feed {words}", pieces)) for words in ("tame emus", "cats cats", "the emus", "emus")}
    assert read == {"tame emus": [[Handle("tameEmus")]], "cats cats": [], "the emus": [], "emus": []}


@pytest.mark.parametrize(
    ("section", "wrong"),
    [
        (operation("[<thigs>]", "A <thigs>", "B <thigs>"), "unknown slot <thigs>: lexicon.toml has no [thigs]"),
        (operation("[<n>, 2", "A <n>", "B <n>"), "no HLXL: column 8, found the end of the text, expected ',' or ']'"),
        (operation("[<n> <n>]", "A <n>", "B <n>"), "no HLXL: column 6, found a slot, expected ',' or ']'"),
        (operation("[<n>5]", "A <n>", "B <n>"), "no HLXL: column 5, found '5', expected ',' or ']'"),
        (operation("[<n:spelled>]", "A <n>", "B <n>"), "no HLXL: column 2, found '<'"),
        (operation("[<n>]", "A <n>", "B"), "the phrasing 'B' has <n> 0 times, expected once"),
        (operation("[<n>]", "A <n>", "B <n> <n:spelled>"), "the phrasing 'B <n> <n:spelled>' has <n> 2 times"),
        (operation("[<n>]", "A <n>", "B <n> <things>"), "'B <n> <things>' has <things>, which the value lacks"),
        (operation("[<things>]", "A <things>", "B <things:spelled>"), "<things:spelled>: only numbers are spelled"),
        (operation("[<n>]"), "phrasings are expected"),
        (operation("[<n>]", "A <n>") + "weight = 0", "weight is 0: it must be at least 1"),
        (operation("[<n>]", "A (<n>|number)"), "the phrasing 'A number' has <n> 0 times"),
        (operation('["a <n>"]', "A <n>", "B <n>"), "<n> is a part of a string, expected as a whole value or key"),
        (operation("{<n>: 1}", "A <n>", "B <n>"), "<n> is a key, expected a slot of handles"),
        (operation("[<others>]", "A <others>", "B <others>"), "<others> is unlike <things>, expected before it"),
        (operation("1", "One", "Two") + operation("2", "Two").partition("\n")[2], "is also in 1-basic.toml, operation"),
        ("[[phrase]]\nname = 'n'\nvalue = '1'\nphrasings = ['one']", "lexicon.toml has [n] too"),
        (GOOD + "\n[[operation]]\nvalue = '1'\nphrasings = ['One', '<things>']", "<things>, which the value lacks"),
        (GOOD + "\n[[operation]]\nphrasings = ['One']", "operation 2, without a value: value: Field required"),
        (GOOD.replace("phrasings", "sentences"), "phrasings: Field required"),
        (GOOD.replace("section", "sektion"), "sektion: Extra inputs are not permitted"),
        (GOOD + "?", "line 5"),
    ],
)  # fmt: skip
def test_a_mistake_in_an_operation_is_one_line(tmp_path: Path, section: str, wrong: str) -> None:
    with pytest.raises(ValueError) as caught:
        load_grammar(written(tmp_path, section))
    said = str(caught.value)
    assert said.startswith(f"{tmp_path / '1-basic.toml'}: ") and "\n" not in said
    assert wrong in said


@pytest.mark.parametrize(
    ("table", "wrong"),
    [
        ("texts = ['a', 'b', 'a']", "the word a occurs twice"),
        ("handles = ['test data', 'Test data']", "the value &h_testData occurs twice"),
        ("texts = ['a']", "at least two choices are expected"),
        ("texts = ['a', 'b']\nhandles = ['a', 'b']", "exactly one of handles, texts, bytes, numbers, values, like"),
        ("pairs = [['a', 'b']]", "exactly one of"),
        ("handles = ['a', 'b']\nquoted = true", "quoted needs texts"),
        (
            "texts = ['a', 'b']\nopen = ['<verb>']",
            "'<verb>' has <verb>, expected <noun>, <adjective>, <never>, <plural>",
        ),
        ("numbers = ['1..']", "'1..' is no range such as '0..12'"),
        ("numbers = ['1..10 step 4']", "the range '1..10 step 4' does not reach its end"),
        ("numbers = [1, 20000]", "the number 20000 cannot be spelled"),
        ("values.one = '1'\nvalues.two = '2,'", "HLXL line 1, column 2"),
        ("like = 'words'", "there is no [words] above it"),
        ("word = ['a']", "word: Extra inputs are not permitted"),
    ],
)
def test_a_mistake_in_the_lexicon_is_one_line(tmp_path: Path, table: str, wrong: str) -> None:
    path = tmp_path / "lexicon.toml"
    path.write_text(f"[mine]\n{table}\n", encoding="utf-8")
    words = tmp_path / "words.toml"
    words.write_text(WORDS, encoding="utf-8")
    with pytest.raises(ValueError) as caught:
        read_lexicon(path, words)
    assert str(caught.value).startswith(f"{path}: [mine]: ") and "\n" not in str(caught.value)
    assert wrong in str(caught.value)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("numbers = ['3..1', 7, '-0.5..-1.5 step 0.5', 2.0]", ["3", "2", "1", "7", "-0.5", "-1.0", "-1.5", "2.0"]),
        ("like = 'n'\nabove = 1", ["2", "3"]),
        ("numbers = ['1..3', 2, 9]", ["1", "2", "3", "9"]),
        ("texts = ['<first>-<second>', '<second>']\npairs = [['a', 'b'], ['c', 'd']]", ["a-b", "c-d", "b", "d"]),
        ("texts = ['a', \"b\\n\"]\nquoted = true", ['"a"', r'"b\n"']),
    ],
)
def test_the_generators_give_choices_in_their_order(tmp_path: Path, table: str, words: list[str]) -> None:
    path = tmp_path / "lexicon.toml"
    path.write_text(f"[n]\nnumbers = ['1..3']\n[mine]\n{table}\n", encoding="utf-8")
    lists = tmp_path / "words.toml"
    lists.write_text(WORDS, encoding="utf-8")
    slot = read_lexicon(path, lists)["mine"]
    assert isinstance(slot, Words) and [choice.words for choice in slot.choices] == words


def test_what_does_not_compose_does_not_load_the_grammar() -> None:
    program = """
import sys, hlx_model.language, hlx_model.cli.convert
assert not [name for name in sys.modules if name.startswith("hlx_model.composer")]
import hlx_model.corpus
from hlx_model.composer.loader import operations
assert operations.cache_info().currsize == 0
"""
    subprocess.run([sys.executable, "-c", program], check=True)
