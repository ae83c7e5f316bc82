"""In the real corpus document all lines are read, agree across formats, and are canonical."""

import pytest

from hlx_model.language import Format, Value, parse, render, same
from tests.support.documents import real_corpus


@pytest.fixture(scope="module")
def entries() -> list[dict[str, str]]:
    """Return the texts of each entry by their labels: `English` and the formats."""
    entries: list[dict[str, str]] = []
    for line in real_corpus().read_text(encoding="utf-8").split("\n"):
        label, _, text = line.partition(": ")
        if label == "English":
            entries.append({})
        if label in ("English", *Format):
            entries[-1][label] = text
    return entries


def read(entry: dict[str, str]) -> dict[Format, Value]:
    return {format: parse(entry[format], format) for format in Format}


def test_all_164_entries_are_read_in_all_four_formats(entries: list[dict[str, str]]) -> None:
    assert sum(len(read(entry)) for entry in entries) == 4 * 164


def test_the_formats_agree_except_for_one_known_defect(entries: list[dict[str, str]]) -> None:
    disagreeing = {}
    for entry in entries:
        values = read(entry)
        if not all(same(value, values[Format.HLXL]) for value in values.values()):
            disagreeing[entry["English"]] = list(values.values())
    assert disagreeing == {"Negative number": [-100, -100, -100, 65436]}


def test_all_lines_except_one_are_canonical(entries: list[dict[str, str]]) -> None:
    rendered = {entry[f]: render(value, f) for entry in entries for f, value in read(entry).items()}
    assert {text: canonical for text, canonical in rendered.items() if text != canonical} == {"[0x03e8]": "[0x3e8]"}
