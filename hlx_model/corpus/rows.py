"""Read rows: JSON Lines, CSV and Parquet, with the columns of entries, or with questions and answers.

A row is an entry. Its columns are `english`, `hlxl`, `lc_r` … in any usual spelling; or a question (`instruction`,
`prompt`, `question`, `input`) and an answer (`output`, `completion`, `response`, `answer`). Others are ignored. A row
that cannot be read goes to quarantine with its line; the lines of Parquet are its rows, from 1.
"""

import csv
import json
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from hlx_model.corpus import rules
from hlx_model.corpus.columns import COLUMNS, column_label, filled_cells, refused_row, row_block
from hlx_model.corpus.entries import CorpusError
from hlx_model.corpus.instructions import NoValueError, values_by_label
from hlx_model.corpus.parts import Block

_ASKED, _ANSWERED = ("instruction", "prompt", "question", "input"), ("output", "completion", "response", "answer")
_BATCH = 10_000


def json_lines(lines: Iterable[str], name: str) -> Iterator[Block]:
    """Yield the rows of JSON Lines.

    Raises:
        CorpusError: it is one JSON array.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            if number == 1 and line.strip() in ("[", "[{"):
                raise CorpusError(f"{name}: line 1: a JSON array begins; write one object a line") from None
            yield refused_row(number, number, f"the line is no JSON: {error}", line)
            continue
        if isinstance(row, dict):
            yield from _row([(name, _text(cell)) for name, cell in row.items()], number, number, line)
        else:
            yield refused_row(number, number, "the line is no JSON object with columns", line)


def csv_rows(lines: Iterable[str], name: str) -> Iterator[Block]:
    """Yield the rows of CSV with a head; its columns are separated by commas, semicolons, tabs or bars.

    Raises:
        CorpusError: it has no column of entries.
    """
    numbered = enumerate(lines, start=1)
    above, head = next(((number, line) for number, line in numbered if line.strip()), (0, ""))
    heads = {mark: next(csv.reader([head], delimiter=mark), []) for mark in "\t,;|"}
    mark, columns = max(heads.items(), key=lambda item: len(_known(item[1])))
    _require_known(columns, f"{name}: line {above}")
    reader = csv.reader((f"{line}\n" for _, line in numbered), delimiter=mark, strict=True)
    while True:
        first = above + reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield refused_row(first, above + reader.line_num, f"the row is no CSV: {error}", "")
            continue
        last, found = above + reader.line_num, mark.join(cells)
        if len(cells) > len(columns):
            reason = f"the row has {len(cells)} cells, its head {len(columns)}: write a cell with a {mark!r} in quotes"
            yield refused_row(first, last, reason, found)
        elif any(cell.strip() for cell in cells):
            yield from _row(list(zip(columns, cells, strict=False)), first, last, found)


def parquet_rows(file: BinaryIO, name: str) -> Iterator[Block]:
    """Yield the rows of a Parquet file.

    Raises:
        CorpusError: it is no Parquet file, or has no column of entries.
    """
    try:
        with pq.ParquetFile(file) as table:
            columns = table.schema_arrow.names
            _require_known(columns, name)
            number = 0
            for batch in table.iter_batches(_BATCH, columns=_known(columns)):
                for row in batch.to_pylist():
                    number += 1
                    cells = [(column, _text(cell)) for column, cell in row.items()]
                    yield from _row(cells, number, number, str(row))
    except (pa.ArrowException, OSError) as error:
        raise CorpusError(f"{name}: not a Parquet file that can be read ({str(error).splitlines()[0]})") from None


def _known(columns: Iterable[str]) -> list[str]:
    """Return the columns of entries; without any, those of questions and answers."""
    columns = list(columns)
    of_entries = [column for column in columns if column_label(column)]
    return of_entries or [column for column in columns if column.strip().casefold() in (*_ASKED, *_ANSWERED)]


def _require_known(columns: list[str], place: str) -> None:
    if not _known(columns):
        found = ", ".join(columns) or "none"
        raise CorpusError(f"{place}: no column of {COLUMNS}, nor of input and output; its columns: {found}")


def _row(cells: list[tuple[str, str | None]], first: int, last: int, found: str) -> Iterator[Block]:
    """Yield the block of a row, unless its columns are empty."""
    labels = [label for name, cell in cells if cell and (label := column_label(name))]
    if twice := {label for label in labels if labels.count(label) > 1}:
        yield refused_row(first, last, f"{min(twice)} in several columns", found, rule=rules.ONCE)
        return
    texts = filled_cells((column_label(name), cell) for name, cell in cells)
    if not labels:
        by_name = {name.strip().casefold(): cell for name, cell in cells if cell and cell.strip()}
        asked = ": ".join(by_name[name] for name in _ASKED if name in by_name)
        answer = next((by_name[name] for name in _ANSWERED if name in by_name), "")
        if asked or answer:
            try:
                texts = values_by_label(asked, answer)
            except NoValueError as error:
                yield refused_row(first, last, f"no value on a side: {error}", found, rule=rules.TWO_VALUES)
                return
    if texts:
        yield row_block(texts, first, last)
    elif not any(column_label(name) for name, _ in cells):
        yield refused_row(first, last, f"the row has none of the columns {COLUMNS}", found)


def _text(cell: object) -> str | None:
    """Return a cell as text: a number or a list as JSON writes it."""
    if cell is None or isinstance(cell, str):
        return cell
    return json.dumps(cell, ensure_ascii=False, default=str)
