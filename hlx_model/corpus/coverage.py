"""The gate `coverage` of the corpora: there are enough rows of each split, format, direction and section."""

from collections import Counter
from collections.abc import Iterable, Sequence

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

    def __init__(self) -> None:
        self._found: Counter[tuple[str, str, str]] = Counter()
        self._kinds: dict[tuple[str, str], None] = {("all", "rows"): None}

    def add(self, batch: pa.RecordBatch) -> None:
        """Count the rows that come next."""
        names = batch.schema.names
        if "format" in names:
            self._kinds |= {("format", str(format)): None for format in Format}
        if "target" in names:
            pairs = (pair for format in Format for pair in ((ENGLISH, format), (format, ENGLISH)))
            self._kinds |= {("direction", _direction(*pair)): None for pair in pairs}
        wanted = [name for name in ("split", "section", "format", "target", "source") if name in names]
        table = pa.Table.from_batches([batch]).select(wanted).group_by(wanted).aggregate([([], "count_all")])
        for row in table.to_pylist():
            kinds = [("all", "rows"), ("section", row["section"] or "(none)")]
            if "format" in row:
                kinds.append(("format", row["format"]))
            if "target" in row:
                kinds.append(("direction", _direction(row["source"], row["target"])))
            for kind in kinds:
                self._kinds.setdefault(kind)
                self._found[(*kind, row["split"])] += row["count_all"]

    def counts(self) -> list[Count]:
        """Return the number of rows of each kind in each split, zeros included."""
        order = ["all", "format", "direction", "section"]
        return [
            Count(of=of, name=name, split=split, rows=self._found[of, name, split])
            for of, name in sorted(self._kinds, key=lambda kind: order.index(kind[0]))
            for split in Split
        ]


def counts(rows: Iterable[pa.RecordBatch]) -> list[Count]:
    """Return how many rows of each kind a corpus has in each split, zeros included."""
    coverage = Coverage()
    for batch in rows:
        coverage.add(batch)
    return coverage.counts()


def coverage_gate(found: Sequence[Count]) -> GateResult:
    """Return the result of the gate: it fails if rows are missing that training needs, and warns if they are few."""
    missing = [count for count in found if count.rows < count.needed]
    scarce = [count for count in found if count.rows < count.wanted]
    short = missing or scarce
    total = {count.split: count.rows for count in found if count.of == "all"}
    reasons = [", ".join(f"{rows} {split}" for split, rows in total.items())]
    for of in dict.fromkeys(count.of for count in short):
        some = [count for count in short if count.of == of]
        which = f"{some[0].rows} rows in {some[0].split}" + ("" if of == "all" else f" of {of} {some[0].name}")
        more = f" (and {len(some) - 1} more)" if len(some) > 1 else ""
        least = some[0].needed if missing else some[0].wanted
        reasons.append(f"{which}{more}, {'required' if missing else 'wanted'} ≥ {least}")
    outcome: Outcome = "fail" if missing else "warn" if scarce else "pass"
    fewest = min((count.rows for count in found if count.needed), default=0)
    return GateResult("coverage", outcome, "; ".join(reasons), fewest, MIN_ROWS, sum(total.values()))


def _direction(source: str, target: str) -> str:
    """Return a direction; the twelve conversions between formats count as one, since each has a twelfth of the rows."""
    return f"{source} to {target}" if ENGLISH in (source, target) else "format to format"
