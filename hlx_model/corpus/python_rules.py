"""Evaluate the rules that look at each text in Python, in several processes if a corpus is large."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from hlx_model.corpus.row_rules import FORMATS, ROW_RULES, SCHEMAS, Rule
from hlx_model.parallel import Processes

_COLUMNS = ["english", *FORMATS, "value_sha256"]
"""What the rules in Python read of examples and of an evaluation."""
_ROWS = 2000
"""Rows of a part that a process evaluates."""


def evaluated_in_python(
    asset: str, slices: Iterable[pa.RecordBatch], processes: Processes
) -> Iterator[tuple[pa.RecordBatch, list[Rule]]]:
    """Yield the rows of a corpus with all rules on them: what those in Python find is known then.

    Args:
        asset: examples or an evaluation. Rows that were derived have little to do in Python.
        slices: rows with the columns of the corpus; they are read ahead.
        processes: which evaluate.
    """
    waiting: deque[pa.RecordBatch] = deque()

    def parts() -> Iterator[tuple[str, bytes]]:
        for rows in slices:
            if rows.num_rows:
                waiting.append(rows)
            needed = rows.select(_COLUMNS)
            for start in range(0, rows.num_rows, _ROWS):
                # Not pickled: that would take the whole buffers of which a part is a slice.
                yield asset, needed.slice(start, _ROWS).serialize().to_pybytes()

    found: list[list[pa.BooleanArray]] = []
    for broken in processes.map(_broken, parts()):
        found.append(broken)
        if sum(len(rules[0]) for rules in found) == waiting[0].num_rows:
            yield waiting.popleft(), _known(asset, found)
            found = []


def _broken(part: tuple[str, bytes]) -> list[pa.BooleanArray]:
    """Return which rows of a corpus break each of its rules in Python."""
    asset, content = part
    schema = pa.schema([SCHEMAS[asset].field(name) for name in _COLUMNS])
    rows = pa.ipc.read_record_batch(content, schema)
    return [pc.fill_null(rule.broken(rows), False) for rule in ROW_RULES[asset] if rule.in_python]


def _known(asset: str, parts: list[list[pa.BooleanArray]]) -> list[Rule]:
    """Return the rules on a corpus; those in Python return what was found in the parts of a slice."""
    columns = (pa.concat_arrays(found) for found in zip(*parts, strict=True))
    return [
        replace(rule, broken=partial(_as_found, next(columns)), in_python=False) if rule.in_python else rule
        for rule in ROW_RULES[asset]
    ]


def _as_found(broken: pa.BooleanArray, rows: pa.RecordBatch) -> pa.BooleanArray:
    return broken
