"""Rows with the columns `English`, `HLXL` …: what a column is, and the block of a row. Any kind of table uses them."""

import re
from collections.abc import Iterable, Iterator, Mapping

from hlx_model.corpus import rules
from hlx_model.corpus.parts import Block, Labelled, cleaned, label_of
from hlx_model.corpus.prompts import ENGLISH
from hlx_model.language import Format

COLUMNS = ", ".join((ENGLISH, *Format)).lower().replace("-", "_")
"""The columns, as an error names them."""
_REMARK = re.compile(r"\([^()]{0,40}\)")
_CELL = re.compile(r"(?:\\.|`[^`]*`|[^|\\])*")
_PLAIN_CELL = re.compile(r"(?:\\.|[^|\\])*")
_CODE = re.compile(r"(`{1,2})([^`](?:.*[^`])?)\1")
_DELIMITER = re.compile(r"[ \t]*\|?(?:[ \t]*:?-+:?[ \t]*\|)+(?:[ \t]*:?-+:?[ \t]*)?$")


def column_label(name: str) -> str | None:
    """Return the label that the name of a column stands for, such as `lc_r`, `LC-R (runic)` or `**English**`."""
    return label_of(_REMARK.sub("", cleaned(name)[0]).strip(" \t\n*_`\"'"))


def row_block(cells: Mapping[str, str], line: int, last_line: int, section: str = "") -> Block:
    """Return the block of a row: the texts of its filled columns, by label.

    Args:
        cells: by label; at least one.
        line: 1-based, its first line.
        last_line: 1-based, its last line.
        section: the section that it is in.
    """
    block = Block(alone=set(cells) == {ENGLISH})
    for label, cell in cells.items():
        text, readings = cleaned(cell)
        lines = [stripped for one in text.splitlines() if (stripped := one.strip())]
        if label == ENGLISH:
            lines = [" ".join(lines)]
        part = Labelled(label, line, section, lines=lines, last_line=last_line, readings=readings)
        if label == ENGLISH:
            block.english = part
        else:
            block.add(part)
    return block


def refused_row(
    line: int, last_line: int, reason: str, found: str, section: str = "", rule: str = rules.READABLE_ROW
) -> Block:
    """Return the block of a row that goes to quarantine as it is."""
    part = Labelled("", line, section, lines=[found], last_line=last_line)
    return Block(unnamed=[part], defect=(rule, reason, found))


def table_columns(head: str, below: str) -> list[str | None]:
    """Return the labels of a Markdown table by column, None for other columns; empty if it is no table of entries.

    Tables of glyphs have formats in their heads too; those of entries have sentences.

    Args:
        head: the line with the names.
        below: the line below it, which makes it a table.
    """
    if not _DELIMITER.match(below):
        return []
    labels = [column_label(name) for name in _cells(head, _PLAIN_CELL)]
    return labels if ENGLISH in labels and not set(Format).isdisjoint(labels) else []


def table_row(line: str, labels: list[str | None], number: int, section: str) -> Iterator[Block]:
    """Yield the block of a row of a Markdown table, unless its cells are empty."""
    cells = _cells(line, _PLAIN_CELL)
    if len(cells) > len(labels):
        cells = _cells(line, _CELL)
    if len(cells) > len(labels):
        reason = f"the row has {len(cells)} cells, its head {len(labels)}: write a | within a cell as \\|"
        yield refused_row(number, number, reason, line.strip(), section)
    elif filled := filled_cells(zip(labels, map(_unmarked, cells), strict=False)):
        yield row_block(filled, number, number, section)


def filled_cells(cells: Iterable[tuple[str | None, str | None]]) -> dict[str, str]:
    """Return the cells by label that have a label and a text."""
    return {label: text for label, text in cells if label and text and text.strip()}


def _cells(line: str, cell: re.Pattern[str]) -> list[str]:
    """Return the cells of a line of a Markdown table."""
    line = line.strip().removeprefix("|")
    found, start = [], 0
    while start <= len(line):
        match = cell.match(line, start)
        assert match is not None
        found.append(match.group().strip())
        start = match.end() + 1
    return found if found[-1] or len(found) == 1 else found[:-1]


def _unmarked(cell: str) -> str:
    """Return the text of a cell without the marks of code, and without the backslashes before `|`."""
    code = _CODE.fullmatch(cell)
    return (code[2].strip() if code else cell).replace("\\|", "|")
