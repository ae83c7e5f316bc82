"""The gates of the corpora: what each requires, and how it is evaluated.

- `schema`: every row keeps every rule, and so does the corpus as a whole.
- `coverage`: there are enough rows of each split, format, direction and section.
- `quarantine`: few entries of the documents are in quarantine.

Those of an evaluation are named alike. Its rows have no splits, and each document has few quarantined entries.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import pyarrow as pa
import pyarrow.compute as pc

from hlx_model.corpus.ahead import ahead
from hlx_model.corpus.prompts import ENGLISH
from hlx_model.corpus.python_rules import evaluated_in_python
from hlx_model.corpus.row_rules import FORMATS, ROW_RULES, SCHEMAS, Rule, broken_rows
from hlx_model.corpus.split import Split
from hlx_model.corpus.tables import DERIVED, PLACE
from hlx_model.corpus.whole_rules import Slices, WholeRules
from hlx_model.json_model import JsonModel
from hlx_model.layout import EXAMPLES
from hlx_model.parallel import Processes
from hlx_model.verdicts import GateResult, Outcome, against

SCHEMA, COVERAGE, QUARANTINED = "schema", "coverage", "quarantine"
SHOWN = 25
"""Rows that break a rule are shown up to this number; all are counted."""
MIN_ROWS = 1
"""Rows to train on and to validate on that a training cannot do without."""
WANTED_HELD_OUT = 30
"""Rows of validation or test below which a rate says little: 30 answers, all right, still mean 89% at the lower end of
Wilson's 95% interval; the gates on generalization warn below as many test values."""

CheckRows = Callable[[pa.RecordBatch, list[Rule]], Iterable[tuple[Rule, int]]]
"""Evaluates rules on a slice of rows, and yields each rule with the index of each row that breaks it."""
_SAID = {"english": f"entry_{ENGLISH}", "split": "entry_split", **{format: f"entry_{format}" for format in FORMATS}}
_LINES = 1 << 32  # more than any document has
_EXPECTED = {
    "format": [("format", form) for form in FORMATS],
    "target": [("direction", way) for form in FORMATS for way in (f"{ENGLISH} to {form}", f"{form} to {ENGLISH}")],
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
        return MIN_ROWS if self.of == "section" or self.split == Split.TRAIN else WANTED_HELD_OUT


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

    def counts(self, splits: Iterable[str] = tuple(Split)) -> list[Count]:
        """Return the number of rows of each kind in each of the splits, zeros included."""
        order = ["all", "format", "direction", "section"]
        return [
            Count(of=of, name=name, split=split, rows=rows[split])
            for (of, name), rows in sorted(self._counts.items(), key=lambda item: order.index(item[0][0]))
            for split in splits
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
    figure = short[0].rows if short else min((count.rows for count in found if count.needed), default=0)
    limit = short[0].wanted if outcome == "warn" else MIN_ROWS
    return GateResult(COVERAGE, outcome, "; ".join(reasons), figure, limit, sum(total.values()))


def _direction(source: str, target: str) -> str:
    """Return a direction; the twelve conversions between formats count as one, since each has a twelfth of the rows."""
    return f"{source} to {target}" if ENGLISH in (source, target) else "format to format"


def quarantine_gate(quarantined: int, entries: int, limit: float) -> GateResult:
    """Return the result of the gate `quarantine`: it warns if an entry is in quarantine, and fails above the limit.

    Args:
        quarantined: entries in quarantine.
        entries: all entries, quarantined ones included.
        limit: the largest share that is allowed, 0 to 1.
    """
    share = quarantined / max(1, entries)
    found = against(share, limit, 0.0, at_most=True)
    reason = f"{quarantined} of {entries} entries are in quarantine ({found.rate}; {found.limits})"
    return GateResult(QUARANTINED, found.outcome, reason, share, found.threshold, entries)


class FailingRow(JsonModel):
    """A row that breaks a rule."""

    document: str | None
    line: int | None
    english: str | None
    rule: str
    reason: str
    found: str
    """The texts that show it, with ` | ` between them."""


class Entries:
    """What each entry of the examples says; it is joined to the rows that were derived from the entry.

    Args:
        slices: the rows of the examples.
        right: whether the examples passed their own gate `schema`.
    """

    def __init__(self, slices: Iterable[pa.RecordBatch], *, right: bool) -> None:
        wanted = [*PLACE, *_SAID]
        schema = pa.schema([SCHEMAS[EXAMPLES].field(name) for name in wanted])
        table = pa.Table.from_batches([rows.select(wanted) for rows in slices], schema).combine_chunks()
        self._right = pa.scalar(right)
        self._documents = pc.unique(table["document"])
        self._keys = self._keyed(table)
        self._said = table.select(list(_SAID)).rename_columns(list(_SAID.values()))

    def _keyed(self, rows: pa.RecordBatch | pa.Table) -> pa.Array:
        number = pc.index_in(rows["document"], self._documents).cast(pa.int64())
        return pc.add(pc.multiply(number, _LINES), rows["line"].cast(pa.int64()))

    def joined(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return derived rows with what their entry says in additional columns; null if there is no such entry."""
        keys = self._keyed(rows)
        # Rows come in the order of the examples: only few entries can be theirs.
        first, last = pc.min_max(keys).values()
        near = pc.indices_nonzero(pc.and_(pc.greater_equal(self._keys, first), pc.less_equal(self._keys, last)))
        said = self._said.take(pc.take(near, pc.index_in(keys, self._keys.take(near))))
        for name in said.column_names:
            rows = rows.append_column(name, said[name].combine_chunks())
        return rows.append_column("entry_is_right", pa.repeat(self._right, rows.num_rows))


@dataclass
class SchemaFindings:
    """What the rules found in a corpus."""

    asset: str
    compared: bool
    """Whether rows were compared with their entries."""
    rows: int = 0
    broken: Counter[str] = field(default_factory=Counter)
    """How many rows break a rule, by its name, in the order in which they were found."""
    failing: list[FailingRow] = field(default_factory=list)
    coverage: Coverage = field(default_factory=Coverage)

    def gate(self) -> GateResult:
        """Return the result of the gate: it fails if a row breaks a rule, and warns if not all could be evaluated."""
        if failures := self.broken.total():
            first = self.failing[0]
            reason = (
                f"{failures} failures of {', '.join(self.broken)} in {self.rows} rows, required 0; first: "
                f"{first.document} line {first.line}: {first.reason}: {first.found}"
            )
            return GateResult(SCHEMA, "fail", reason, failures, 0, self.rows)
        if self.asset in DERIVED and not self.compared:
            reason = "rows keep the rules; whether they say what their entries say is unknown: the examples are missing"
            return GateResult(SCHEMA, "warn", f"{self.rows} {reason}", 0, None, self.rows)
        return GateResult(SCHEMA, "pass", f"{self.rows} rows keep every rule of {self.asset}", 0, 0, self.rows)

    def add(self, rows: pa.RecordBatch, broken: Iterable[tuple[Rule, int]]) -> None:
        """Count the rows that break a rule."""
        for rule, index in broken:
            self.broken[rule.name] += 1
            if len(self.failing) < SHOWN:
                (row,) = rows.slice(index, 1).to_pylist()
                said, found = row.get(f"entry_{ENGLISH}", row.get("english")), map(row.get, rule.found)
                shown = FailingRow(
                    document=row.get("document"), line=row.get("line"), english=said, rule=rule.name,
                    reason=rule.reason, found=" | ".join(str(text) for text in found if text is not None),
                )  # fmt: skip
                self.failing.append(shown)


def check_schema(
    asset: str, slices: Slices, entries: Entries | None = None, check_rows: CheckRows = broken_rows
) -> SchemaFindings:
    """Evaluate the rules of a corpus, slice by slice: its rows are read once, and again only if a rule is broken.

    Args:
        asset: which corpus.
        slices: reads its rows.
        entries: of a derived corpus, what its entries say; None if they are missing.
        check_rows: evaluates rules on a slice.
    """
    found, whole = SchemaFindings(asset, entries is not None), WholeRules(asset)
    wanted = [rule for rule in ROW_RULES[asset] if found.compared or not rule.compares]
    ill_typed: list[tuple[pa.RecordBatch, Rule]] = []

    def gathered() -> Iterator[pa.RecordBatch]:
        """Yield the rows, counted and taken in by the rules on a whole corpus, up to rows of a wrong type."""
        for rows in slices():
            found.rows += rows.num_rows
            if wrong := _wrong_type(asset, rows.schema):
                ill_typed.append((rows, wrong))
                return
            found.coverage.add(rows)
            whole.add(rows)
            yield rows

    with Processes() as processes:
        derived, rows_ahead = asset in DERIVED, ahead(gathered())
        with_rules = ((rows, wanted) for rows in rows_ahead)
        for rows, rules in with_rules if derived else evaluated_in_python(asset, rows_ahead, processes):
            joined = rows if entries is None else entries.joined(rows)
            found.add(joined, check_rows(joined, rules))
    for rows, wrong in ill_typed:
        found.add(rows, [(wrong, 0)])
        return found
    if broken := whole.broken(slices):
        for rows in slices():
            found.add(rows, check_rows(rows, broken))
    return found


def _wrong_type(asset: str, schema: pa.Schema) -> Rule | None:
    """Return the rule that the first column breaks that is missing or of another type than it should be."""
    for expected in SCHEMAS[asset]:
        if expected.name not in schema.names or schema.field(expected.name).type != expected.type:
            reason = f"column {expected.name} is missing, or not of type {expected.type}"
            return Rule("columns_are_of_their_types", reason, (), lambda rows: pa.array([True] * rows.num_rows))
    return None
