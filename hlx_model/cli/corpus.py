"""`hlx corpus check`, `compose` and `statistics`: the corpus without Dagster."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
from typer import Argument, Exit, Option, Typer

from hlx_model.cli.options import AsJson, option
from hlx_model.cli.show import echo, echo_exactly, echo_json, print_table
from hlx_model.corpus.document import DEFAULT_SEQ_LENGTH, Document, read_document
from hlx_model.corpus.documents import collect, compose_beside, read_corpus, require_different
from hlx_model.corpus.entries import Collection, CorpusError
from hlx_model.corpus.gates import Coverage, quarantine_gate
from hlx_model.corpus.rules import max_quarantined_share
from hlx_model.corpus.statistics import statistics
from hlx_model.corpus.tables import DERIVED, examples_table, quarantine_table
from hlx_model.outputs import STDOUT, require_output, write_output
from hlx_model.reporting.pages import statistics_markdown

corpus_app = Typer(help="Check, compose or describe corpus documents.", no_args_is_help=True)

_MOST_ROWS = 50
_SHOWN = ["document", "line", "english", "reason"]
_SHARE = "Share of entries in quarantine above which the corpus is unusable, 0 to 1."
_BESIDE = "A document to train on together with this one: no sentence of it is composed again."
_Paths = Annotated[list[Path], Argument(help="Corpus documents.")]
_SeqLength = Annotated[int, option("Most tokens of an example.")]


@corpus_app.command("check")
def check_command(
    paths: _Paths,
    seq_length: _SeqLength = DEFAULT_SEQ_LENGTH,
    share: Annotated[
        float | None, Option("--most-quarantined", help=_SHARE, show_default="$HLX_MOST_QUARANTINED, or 0.05")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check what can be trained on. Exit code 0: all of it; 2: entries are in quarantine; 1: unusable.

    Several documents are one corpus. It is unusable if one cannot be read, or if too many entries are in quarantine.
    If the corpus lacks rows to hold out, that is a warning: documents are often checked in parts.
    """
    limit = max_quarantined_share(share)
    require_different(paths)
    documents: list[Document] = []
    problems: list[str] = []
    for path in paths:
        try:
            documents.append(read_document(path, seq_length=seq_length))
        except CorpusError as error:
            problems.append(str(error))
    corpus = collect(documents)
    examples, quarantine = examples_table(corpus), quarantine_table(corpus)
    gate = quarantine_gate(quarantine.num_rows, corpus.entries_read, limit)
    if gate.outcome == "fail":
        problems.append(gate.reason)
    result: dict[str, Any] = {
        "entries": corpus.entries_read,
        "rows": {
            asset.removesuffix("_corpus"): sum(batch.num_rows for batch in derived.batches(examples))
            for asset, derived in DERIVED.items()
        },
        "quarantined": quarantine.select([*_SHOWN, "rule"]).to_pylist(),
        "problems": problems,
        "warnings": _warnings(corpus, examples),
        "readings": [asdict(reading) for reading in corpus.readings],
    }
    if as_json:
        echo_json(result)
    else:
        _show(result)
    raise Exit(1 if problems else 2 if quarantine.num_rows else 0)


def _warnings(corpus: Collection, examples: pa.Table) -> list[str]:
    """Return what the corpus as a whole lacks, so that the gate `coverage` will fail."""
    if not corpus.entries:
        return []
    no_sentence = "no entry has a sentence: phases 1 and 3 have nothing to learn from"
    no_value = "no entry has HLX: phases 2 and 3 have nothing to learn from"
    missing = [] if any(entry.english for entry in corpus.entries) else [no_sentence]
    missing += [] if any(entry.texts for entry in corpus.entries) else [no_value]
    return missing + [
        f"no rows in {count.split}: give the corpus more entries, of words that occur in several of them"
        for count in Coverage(examples.to_batches()).counts()
        if count.of == "all" and count.rows < count.needed
    ]


def _show(result: dict[str, Any]) -> None:
    for problem in result["problems"]:
        echo(f"error: {problem}", err=True)
    if result["entries"]:
        rows = ", ".join(f"{name} {count}" for name, count in result["rows"].items())
        echo(f"{result['entries']} entries read, {len(result['quarantined'])} quarantined; rows: {rows}")
        for title, key in (("in quarantine:", "quarantined"), ("how ambiguous forms were read:", "readings")):
            if found := result[key]:
                echo(title)
                print_table([{k: v for k, v in row.items() if k != "rule"} for row in found[:_MOST_ROWS]], gap=1)
            if len(found) > _MOST_ROWS:
                echo(f"and {len(found) - _MOST_ROWS} more: --json lists them all")
        for warning in result["warnings"]:
            echo(f"warning: {warning}")


@corpus_app.command("compose")
def compose_command(
    path: Annotated[Path, Argument(help="The document to write.")],
    entries: Annotated[int, option("How many entries.")] = 6000,
    seed: Annotated[int, option("The same seed gives the same document.")] = 0,
    beside: Annotated[list[Path] | None, option(_BESIDE)] = None,
    force: Annotated[bool, Option("--force", help="Replace an existing document.")] = False,
) -> None:
    """Write a composed corpus document."""
    place = require_output(path, inputs=beside or [])
    if place.exists() and not force:
        raise ValueError(f"{path} exists already: name another file, or pass --force")
    lines, _ = compose_beside(entries, seed, read_corpus(beside or []).entries)
    write_output(place, lines)
    echo(f"{path}: {entries} entries, seed {seed}", err=place == STDOUT)


@corpus_app.command("statistics")
def statistics_command(
    paths: _Paths,
    output: Annotated[Path | None, option("Write the page (Markdown) there; - is standard output.")] = None,
    seq_length: _SeqLength = DEFAULT_SEQ_LENGTH,
    as_json: AsJson = False,
) -> None:
    """Describe a corpus.

    By section, operation, depth and length, and how validation and test were chosen.
    """
    place = require_output(output, inputs=paths) if output is not None else None
    found = statistics(examples_table(read_corpus(paths, seq_length=seq_length)))
    page = json.dumps(found.to_json(), ensure_ascii=False, indent=2) if as_json else statistics_markdown(found)
    if place is None:
        echo_exactly(page)
    else:
        write_output(place, [page, "\n"])
        echo(f"{output}: {found.entries} entries", err=place == STDOUT)
