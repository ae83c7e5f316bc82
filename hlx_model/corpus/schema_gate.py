"""The gate `schema` of the corpora: every row keeps every rule, and so does the corpus as a whole."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from hlx_model.corpus.coverage import Coverage
from hlx_model.corpus.prompts import ENGLISH
from hlx_model.corpus.row_rules import FORMATS, SCHEMAS, EntryState, Rule, broken_rows, row_rules
from hlx_model.corpus.tables import PLACE
from hlx_model.corpus.whole_rules import Slices, WholeRules
from hlx_model.json_model import JsonModel
from hlx_model.layout import EXAMPLES
from hlx_model.verdicts import GateResult

SHOWN = 25
"""Rows that break a rule are shown up to this number; all are counted."""

CheckRows = Callable[[pa.RecordBatch, list[Rule]], Iterable[tuple[Rule, int]]]
"""Evaluates rules on a slice of rows, and yields each rule with the index of each row that breaks it."""
_SAID = {"english": f"entry_{ENGLISH}", "split": "entry_split", **{format: f"entry_{format}" for format in FORMATS}}
_LINES = 1 << 32  # more than any document has


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
        self.state: EntryState = "right" if right else "unproven"
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
        return rows


@dataclass
class SchemaFindings:
    """What the rules found in a corpus."""

    asset: str
    entries: EntryState
    rows: int = 0
    failures: int = 0
    broken: dict[str, None] = field(default_factory=dict)
    """The names of the rules that some row breaks, in the order in which they were found."""
    failing: list[FailingRow] = field(default_factory=list)
    coverage: Coverage = field(default_factory=Coverage)

    def gate(self) -> GateResult:
        """Return the result of the gate: it fails if a row breaks a rule, and warns if not all could be evaluated."""
        if self.failures:
            first = self.failing[0]
            reason = (
                f"{self.failures} failures of {', '.join(self.broken)} in {self.rows} rows, required 0; first: "
                f"{first.document} line {first.line}: {first.reason}: {first.found}"
            )
            return GateResult("schema", "fail", reason, self.failures, 0, self.rows)
        if self.asset != EXAMPLES and self.entries == "missing":
            reason = "rows keep the rules; whether they say what their entries say is unknown: the examples are missing"
            return GateResult("schema", "warn", f"{self.rows} {reason}", 0, 0, self.rows)
        return GateResult("schema", "pass", f"{self.rows} rows keep every rule of {self.asset}", 0, 0, self.rows)

    def add(self, rows: pa.RecordBatch, broken: Iterable[tuple[Rule, int]]) -> None:
        """Count the rows that break a rule."""
        for rule, index in broken:
            self.failures += 1
            self.broken[rule.name] = None
            if len(self.failing) < SHOWN:
                (row,) = rows.slice(index, 1).to_pylist()
                shown = FailingRow(
                    document=row.get("document"),
                    line=row.get("line"),
                    english=row.get(f"entry_{ENGLISH}", row.get("english")),
                    rule=rule.name,
                    reason=rule.reason,
                    found=" | ".join(str(row[column]) for column in rule.found if row.get(column) is not None),
                )
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
    found = SchemaFindings(asset, "missing" if entries is None else entries.state)
    wanted, whole = row_rules(asset, found.entries), WholeRules(asset)
    for rows in slices():
        found.rows += rows.num_rows
        if wrong := _wrong_type(asset, rows.schema):
            found.add(rows, [(wrong, 0)])
            return found
        found.coverage.add(rows)
        whole.add(rows)
        joined = rows if entries is None else entries.joined(rows)
        found.add(joined, check_rows(joined, wanted))
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
