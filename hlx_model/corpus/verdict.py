"""The verdict on a kept corpus, and the rule that nothing is derived from or trained on one that did not pass.

    reports/corpora/<asset>/<data version>/verdict.json, report.json

The file is the truth: Dagster's checks mirror it, and `hlx train` reads it. Limits are those that were in force when
the corpus was judged; the reasons name them.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from hlx_model.corpus import gates, store
from hlx_model.corpus.build import BuiltCorpora
from hlx_model.corpus.row_rules import broken_rows
from hlx_model.corpus.rules import max_quarantined_share
from hlx_model.corpus.split import EVALUATED, Split
from hlx_model.corpus.store import VerifiedCorpus
from hlx_model.corpus.tables import DERIVED
from hlx_model.files import write_json
from hlx_model.json_model import JsonModel
from hlx_model.layout import EVALUATION, EXAMPLES, REPORT, ROWS
from hlx_model.verdicts import GateClosed, GateResult, Outcome, read_sealed, worst, write_sealed

CORPUS_GATES_VERSION = "3"
"""Verdicts of another version are void. It is raised by hand when a gate on corpora changes."""
GATES_OF_CORPUS = {
    EXAMPLES: (gates.SCHEMA, gates.COVERAGE, gates.QUARANTINED),
    EVALUATION: (gates.SCHEMA, gates.COVERAGE, gates.QUARANTINED),
    **dict.fromkeys(DERIVED, (gates.SCHEMA, gates.COVERAGE)),
}
"""The gates of each corpus."""
_REMEDIES = {
    gates.COVERAGE: "give the documents more entries, of words that occur in several of them",
    gates.QUARANTINED: "mend them (`hlx corpus check` lists them)",
}
_COUNTS_KEPT = 100
log = logging.getLogger(__name__)


class CorpusVerdict(JsonModel):
    """What the gates found in a version of a corpus. It contains no times: judging it again changes nothing."""

    asset: str
    data_version: str
    examples: str | None
    """The examples that a derived corpus was compared with; None if they were missing, and for the examples."""
    outcome: Outcome
    gates: tuple[GateResult, ...]
    gates_version: str

    def gate(self, name: str) -> GateResult:
        """Return the result of a gate."""
        return next(gate for gate in self.gates if gate.name == name)


class CorpusReport(JsonModel):
    """What was found in detail, beside the verdict."""

    rows: Mapping[str, int] = {}
    """Rows by split."""
    counts: tuple[gates.Count, ...] = ()
    """Rows by kind, the kinds that have too few first."""
    failing: tuple[gates.FailingRow, ...] = ()
    """The first rows that break a rule."""


def require_corpus_passed(directory: Path) -> CorpusVerdict:
    """Return the verdict on a kept corpus, if one may build on it: on a derived one, if its examples passed too.

    A corpus that has no verdict yet is judged now, and the verdict is written.

    Raises:
        GateClosed: a gate failed; the message names it with its figure.
        CorpusError: the corpus is damaged, which is found if it is judged now.
    """
    examples = _examples_of(directory)
    if examples is not None:
        _require(examples, recorded_verdict(examples) or judge_corpus(examples))
    return _require(directory, recorded_verdict(directory) or judge_corpus(directory))


def require_built_passed(built: BuiltCorpora, asset: str) -> VerifiedCorpus:
    """Judge what was built from documents, and return the corpus `asset`, if it and its examples passed.

    Raises:
        GateClosed: a gate failed; the message names it with its figure.
    """
    prefix = ", ".join(document.name for document in built.documents) + ": "
    _require(built.examples.directory, judge_corpus(built.examples), prefix)
    corpus = built.derived[asset]
    _require(corpus.directory, judge_corpus(corpus, examples=built.examples), prefix)
    return corpus


def recorded_verdict(directory: Path) -> CorpusVerdict | None:
    """Return the verdict on record of a kept corpus; None if there is none, or one of other gates."""
    directory = directory.absolute()
    folder = store.report_folder(directory)
    try:
        content = read_sealed(folder) if folder is not None else {}
        content.pop("files", None)
        verdict = CorpusVerdict.from_json(content)
    except ValueError:
        return None
    asset, names = directory.parent.name, tuple(gate.name for gate in verdict.gates)
    expected = asset, directory.name, CORPUS_GATES_VERSION, GATES_OF_CORPUS.get(asset)
    return verdict if (verdict.asset, verdict.data_version, verdict.gates_version, names) == expected else None


def read_report(directory: Path) -> CorpusReport:
    """Return the report beside the verdict on a kept corpus; an empty one if there is none."""
    folder = store.report_folder(directory)
    try:
        return CorpusReport() if folder is None else CorpusReport.read(folder / REPORT)
    except (OSError, ValueError):
        return CorpusReport()


def judged_today(directory: Path, check_rows: gates.CheckRows = broken_rows) -> CorpusVerdict:
    """Return the verdict on record if its limits are those in force today; else judge the corpus."""
    verdict, limit = recorded_verdict(directory), max_quarantined_share()
    if verdict is None or not all(_is_of(gate, limit) for gate in verdict.gates if gate.name == gates.QUARANTINED):
        return judge_corpus(directory, check_rows)
    return verdict


def _is_of(gate: GateResult, limit: float) -> bool:
    """Return whether a gate `quarantine` on record was evaluated with this limit."""
    quarantined = round((gate.value or 0.0) * gate.samples)
    return gate.reason.startswith(gates.quarantine_gate(quarantined, gate.samples, limit).reason)


def judge_corpus(
    corpus: VerifiedCorpus | Path, check_rows: gates.CheckRows = broken_rows, *, examples: VerifiedCorpus | None = None
) -> CorpusVerdict:
    """Judge a corpus with the limits in force today, and write the verdict.

    Gates on record of the same rows are not evaluated again; but the rows are verified, unless they are already.

    Args:
        corpus: its directory, or a verified corpus.
        check_rows: evaluates the rules on a slice of rows.
        examples: what a derived corpus was made from. Default: the examples on record, if they are kept.

    Raises:
        CorpusError: the rows are missing, or not those of the version.
        ValueError: `HLX_MOST_QUARANTINED` is no share.
    """
    directory, limit = _directory(corpus), max_quarantined_share()
    source = examples or _examples_of(directory)
    version = None if source is None else _directory(source).name
    verdict, report = recorded_verdict(directory), None
    if verdict is not None and verdict.examples == version:
        if isinstance(corpus, Path):
            store.verify(directory)
        results = [verdict.gate(gates.SCHEMA), verdict.gate(gates.COVERAGE)]
    else:
        results, report = _examine(corpus, source, check_rows)
    if gates.QUARANTINED in GATES_OF_CORPUS[directory.parent.name]:
        judge = _judge_documents if directory.parent.name == EVALUATION else _judge_quarantine
        results.append(judge(directory, results[0].samples, limit))
    judged = CorpusVerdict(
        asset=directory.parent.name, data_version=directory.name, examples=version,
        outcome=worst(results), gates=tuple(results), gates_version=CORPUS_GATES_VERSION,
    )  # fmt: skip
    if judged != verdict:
        _write(directory, judged, report)
    return judged


def _examine(
    corpus: VerifiedCorpus | Path, examples: VerifiedCorpus | Path | None, check_rows: gates.CheckRows
) -> tuple[list[GateResult], CorpusReport]:
    """Read a corpus once, and return the gates `schema` and `coverage` with the details."""
    directory, entries = _directory(corpus), None
    if examples is not None:
        verdict = recorded_verdict(_directory(examples))
        right = verdict is not None and verdict.gate(gates.SCHEMA).outcome == "pass"
        entries = gates.Entries(store.slices(examples), right=right)

    def slices() -> Iterable[pa.RecordBatch]:
        rows = store.slices(corpus)
        return rows if examples is None else store.with_places(rows, directory, _directory(examples))

    found = gates.check_schema(directory.parent.name, slices, entries, check_rows)
    counts = found.coverage.counts([EVALUATED] if directory.parent.name == EVALUATION else Split)
    report = CorpusReport(
        rows={count.split: count.rows for count in counts if count.of == "all"},
        counts=tuple(sorted(counts, key=lambda count: count.rows >= count.wanted)[:_COUNTS_KEPT]),
        failing=tuple(found.failing),
    )
    return [found.gate(), gates.coverage_gate(counts)], report


def _judge_quarantine(directory: Path, kept: int, limit: float) -> GateResult:
    return _with_first(store.quarantined(directory), kept, limit)


def _judge_documents(directory: Path, kept: int, limit: float) -> GateResult:
    """Return the gate `quarantine` of the document that has the largest share of its entries there.

    No document may be missing among others: one that cannot be read is in quarantine as a whole.
    """
    kept_of = Counter(row for rows in store.batches(directory) for row in rows["document"].to_pylist())
    quarantine = store.quarantined(directory)
    results = [
        _with_first(quarantine.filter(pc.field("document") == name), kept_of[name], limit)
        for name in dict.fromkeys([*quarantine["document"].to_pylist(), *kept_of])
    ]
    return max(results, key=lambda gate: gate.value or 0.0, default=gates.quarantine_gate(0, kept, limit))


def _with_first(quarantine: pa.Table, kept: int, limit: float) -> GateResult:
    """Return the gate `quarantine`, with the first quarantined entry in its reason."""
    gate = gates.quarantine_gate(quarantine.num_rows, quarantine.num_rows + kept, limit)
    for first in quarantine.slice(0, 1).to_pylist():
        where = f"{first['document']} line {first['line']}"
        gate = replace(gate, reason=f"{gate.reason}; first: {where}: {first['reason']}")
    return gate


def _write(directory: Path, verdict: CorpusVerdict, report: CorpusReport | None) -> None:
    """Write verdict and report; a corpus that somebody else keeps read-only is judged again by each process."""
    folder = store.report_folder(directory)
    if folder is None:
        return
    try:
        if report is not None:
            write_json(folder / REPORT, report.to_json())
        write_sealed(folder, verdict.to_json())
    except OSError as error:
        log.warning("the verdict on %s %s was not written: %s", verdict.asset, verdict.data_version[:12], error)


def _require(directory: Path, verdict: CorpusVerdict, prefix: str = "") -> CorpusVerdict:
    """Return a verdict that passed.

    Raises:
        GateClosed: a gate failed. The message begins with `prefix`, and names the gate, its figure and what to do.
    """
    failed = [gate for gate in verdict.gates if gate.outcome == "fail"]
    if not failed:
        return verdict
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    # What is in quarantine is missing among the rows.
    first = next((gate for gate in failed if gate.name == gates.QUARANTINED), failed[0])
    folder = store.report_folder(directory)
    remedy = _REMEDIES.get(first.name, f"see {folder / REPORT}" if folder else "make it again")
    raise GateClosed(f"{prefix}the gate of {verdict.asset} is closed: {first.name}{more}: {first.reason}", remedy)


def _directory(corpus: VerifiedCorpus | Path) -> Path:
    return (corpus if isinstance(corpus, Path) else corpus.directory).absolute()


def _examples_of(directory: Path) -> Path | None:
    """Return the examples that a derived corpus was last made from, if they are kept."""
    examples = store.examples_of(directory) if directory.absolute().parent.name in DERIVED else None
    return examples if examples is not None and (examples / ROWS).is_file() else None
