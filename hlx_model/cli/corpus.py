"""`hlx corpus check` and `hlx corpus compose`: the corpus without Dagster."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from hlx_model.artifacts import write_text
from hlx_model.corpus import (
    DEFAULT_SEQ_LENGTH,
    CorpusError,
    compose,
    english_table,
    examples_table,
    hlx_table,
    paired_table,
    quarantine_table,
    read_document,
)

corpus_app = typer.Typer(help="Check or compose a corpus document.", no_args_is_help=True)


@corpus_app.command("check")
def check_command(
    paths: Annotated[list[Path], typer.Argument(help="Corpus documents.", show_default=False)],
    seq_length: Annotated[int, typer.Option(help="Most tokens of an example.")] = DEFAULT_SEQ_LENGTH,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say what can be trained on. Exit code 0: all of it; 2: rows are quarantined; 1: unusable."""
    problems: list[str] = []
    documents = []
    for path in paths:
        try:
            documents.append(read_document(path, seq_length=seq_length))
        except CorpusError as error:
            problems.append(str(error))
    examples = examples_table(documents)
    quarantined = quarantine_table(documents).to_pylist()
    tables = {
        "english": english_table(examples),
        "hlx": hlx_table(examples),
        "paired": paired_table(examples),
    }
    result: dict[str, Any] = {
        "entries": examples.num_rows + len(quarantined),
        "rows": {name: table.num_rows for name, table in tables.items()},
        "quarantined": quarantined,
        "problems": problems,
    }
    if as_json:
        typer.echo(json.dumps(result, ensure_ascii=False, indent=2))
    else:
        _show(result)
    raise typer.Exit(1 if problems else 2 if quarantined else 0)


def _show(result: dict[str, Any]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    rows = ", ".join(f"{name} {count}" for name, count in result["rows"].items())
    console.print(
        f"{result['entries']} entries read, {len(result['quarantined'])} quarantined; rows: {rows}",
        markup=False,
    )
    if result["quarantined"]:
        table = Table("document", "line", "English", "reason")
        for row in result["quarantined"]:
            table.add_row(row["document"], str(row["line"]), row["english"], row["reason"])
        console.print(table, markup=False, soft_wrap=False)
    for problem in result["problems"]:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"error: {problem}", markup=False)


@corpus_app.command("compose")
def compose_command(
    path: Annotated[Path, typer.Argument(help="The document to write.", show_default=False)],
    entries: Annotated[int, typer.Option(help="How many entries.")] = 6000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same document.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace a document that is there.")] = False,
) -> None:
    """Write a composed corpus document."""
    if path.exists() and not force:
        raise ValueError(f"{path} is there already: name another file, or pass --force")
    write_text(path, compose(entries, seed))
    typer.echo(f"{path}: {entries} entries, seed {seed}")
