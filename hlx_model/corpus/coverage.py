"""The gate `coverage` of the corpora: there are enough rows of each split, format, direction and section."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby

import pyarrow as pa

from hlx_model.corpus.prompts import ENGLISH
from hlx_model.corpus.split import Split
from hlx_model.json_model import JsonModel
from hlx_model.language import Format
from hlx_model.verdicts import GateResult, Outcome

MIN_ROWS = 1
"""Rows to train on and to validate on that a training cannot do without."""
WANTED_HELD_OUT = 30
"""Held-out rows below which a rate says little: 30 answers, all right, still mean 89% at the lower end of
Wilson's 95% interval; the gates on generalization warn below as many held-out values."""


_EXPECTED = {
    "format": [("format", str(format)) for format in Format],
    "target": [("direction", way) for form in Format for way in (f"{ENGLISH} to {form}", f"{form} to {ENGLISH}")],
}
"""The kinds of which a corpus with one of these columns must have rows."""


class Count(JsonModel):
    """How many rows of one kind one split has."""

    of: str
    """What is counted: `all`, `format`, `direction` or `section`."""
    name: str
    """Which of them: `LC-R`, `English to LC-R`, a section's heading."""
    split: str
    rows: int

    @property
    def needed(self) -> int:
        """Return the number of rows below which nothing is trained."""
        return MIN_ROWS if self.of != "section" and self.split != Split.TEST else 0

    @property
    def wanted(self) -> int:
        """Return the number of rows below which the gate warns."""
        if self.split == Split.TRAIN:
            return MIN_ROWS
        return MIN_ROWS if self.of == "section" else WANTED_HELD_OUT


class Coverage:
    """Counts rows by kind, batch by batch; works on the examples and on derived corpora."""

    def __init__(self, rows: Iterable[pa.RecordBatch] = ()) -> None:
        self._counts: dict[tuple[str, str], Counter[str]] = {("all", "rows"): Counter()}
        """By kind and split."""
        for batch in rows:
            self.add(batch)

    def add(self, batch: pa.RecordBatch) -> None:
        """Count the rows that come next."""
        wanted = [name for name in ("split", "section", "format", "target", "source") if name in batch.schema.names]
        table = pa.Table.from_batches([batch]).select(wanted).group_by(wanted).aggregate([([], "count_all")])
        for name in wanted:
            for kind in _EXPECTED.get(name, ()):
                self._counts.setdefault(kind, Counter())
        for row in table.to_pylist():
            kinds = [("all", "rows"), ("section", row["section"] or "(none)")]
            if "format" in row:
                kinds.append(("format", row["format"]))
            if "target" in row:
                kinds.append(("direction", _direction(row["source"], row["target"])))
            for kind in kinds:
                self._counts.setdefault(kind, Counter())[row["split"]] += row["count_all"]

    def counts(self) -> list[Count]:
        """Return the number of rows of each kind in each split, zeros included."""
        order = ["all", "format", "direction", "section"]
        return [
            Count(of=of, name=name, split=split, rows=rows[split])
            for (of, name), rows in sorted(self._counts.items(), key=lambda item: order.index(item[0][0]))
            for split in Split
        ]


def coverage_gate(found: Sequence[Count]) -> GateResult:
    """Return the result of the gate: it fails if rows are missing that training needs, and warns if they are few."""
    missing = [count for count in found if count.rows < count.needed]
    short = missing or [count for count in found if count.rows < count.wanted]
    total = {count.split: count.rows for count in found if count.of == "all"}
    reasons = [", ".join(f"{rows} {split}" for split, rows in total.items())]
    for of, counts in groupby(short, key=lambda count: count.of):
        first, *others = counts
        which = f"{first.rows} rows in {first.split}" + ("" if of == "all" else f" of {of} {first.name}")
        more = f" (and {len(others)} more)" if others else ""
        reasons.append(f"{which}{more}, " + (f"required ≥ {first.needed}" if missing else f"wanted ≥ {first.wanted}"))
    outcome: Outcome = "fail" if missing else "warn" if short else "pass"
    fewest = min((count.rows for count in found if count.needed), default=0)
    return GateResult("coverage", outcome, "; ".join(reasons), fewest, MIN_ROWS, sum(total.values()))


def _direction(source: str, target: str) -> str:
    """Return a direction; the twelve conversions between formats count as one, since each has a twelfth of the rows."""
    return f"{source} to {target}" if ENGLISH in (source, target) else "format to format"
