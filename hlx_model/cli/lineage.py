"""`hlx lineage`: what a checkpoint was made from, whether it is still what it was, and what a corpus went into."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table
from rich.tree import Tree

from hlx_model.cli.options import AsJson, Directory, Named, training_folder
from hlx_model.layout import default_training
from hlx_model.provenance.finding import LinkFinding
from hlx_model.provenance.lookup import checkpoint_of
from hlx_model.provenance.mermaid import mermaid
from hlx_model.provenance.tree import Node, lineage
from hlx_model.provenance.uses import (
    Use,
    uses_of_document,
    uses_of_line,
    uses_of_text,
)
from hlx_model.provenance.verify import verify_lineage

lineage_app = typer.Typer(no_args_is_help=True, help="What a checkpoint was made from, and what a corpus went into.")
SIGNS = {"ok": "[green]ok[/]", "broken": "[red]broken[/]", "unchecked": "[yellow]unchecked[/]"}


@lineage_app.command("show")
def show_command(
    checkpoint: Named,
    checkpoint_dir: Directory = None,
    as_json: AsJson = False,
    as_mermaid: Annotated[bool, typer.Option("--mermaid", help="As a diagram for a document.")] = False,
) -> None:
    """Show what a checkpoint or an asset was made from, down to the corpus documents.

    From what was recorded when each was made: it stays true after the corpus moved on.
    """
    node = lineage(checkpoint, checkpoint_dir or default_training())
    if as_json:
        typer.echo(json.dumps(node.to_json(), indent=2, ensure_ascii=False))
    elif as_mermaid:
        typer.echo(mermaid(node))
    else:
        Console(highlight=False).print(_branch(node))


def _branch(node: Node, within: Tree | None = None) -> Tree:
    label = "\n".join(_label(node))
    branch = Tree(label) if within is None else within.add(label)
    for child in node.made_from:
        _branch(child, branch)
    return branch


def _label(node: Node) -> Iterator[str]:
    f, sha256 = node.facts, (node.sha256 or "")[:16]
    if node.kind == "document":
        yield f"[bold]{escape(node.name)}[/]  {sha256}…  {f['bytes']:,} bytes"
        yield f"from {escape(f['source'])}"
    elif node.kind == "corpus":
        yield f"[bold]{node.name}[/]  {sha256}…"
        if "made" in f:
            yield f"made {_time(f['made'])} by run {f['run_id'][:8]}"
    elif not f["at_hand"]:
        why = "another checkpoint lies in its place" if f.get("swapped") else f.get("damaged", "not at hand")
        yield f"[bold]{node.name}[/]  weights {sha256}…  [red]{escape(why)}[/]"
    else:
        yield from _checkpoint(node, sha256)


def _checkpoint(node: Node, sha256: str) -> Iterator[str]:
    f = node.facts
    yield f"[bold]{node.name}[/]  weights {sha256}…"
    size = f"{f['size']}, {f['parameters']:,} parameters"
    yield f"phase {f['phase']}, {size}, epoch {f['epoch']} of {f['epochs']}, step {f['step']}"
    by, on = f"run {f['run_id'][:8]}" if f["run_id"] else "hlx train", f" on {f['device']}" if f["device"] else ""
    yield f"made {_time(f['created'])} by {by}{on}, {_code(f)}"
    yield f"seed {f['settings'].get('seed')}, learning rate {f['settings'].get('learning_rate')}"
    verdict = f["verdict"]
    said = "never judged, or by another version" if verdict is None else verdict["outcome"]
    failed = f" ({', '.join(verdict['failed'])})" if verdict and verdict["failed"] else ""
    yield f"verdict: {_coloured(said)}{failed}"
    if f["stopped"]:
        yield f"[red]stopped: {escape(f['stopped'])}[/]"
    if f["handed_on_by"]:
        yield f"its parent was handed on: {f['handed_on_by']}"
    for name in f["resumed"]:
        yield f"[yellow]resumed by hand from {name}[/]"
    for name in f["ungated"]:
        yield f"[red]made from {name} although its gate was closed (--ungated)[/]"


def _code(facts: Any) -> str:
    code, version = facts["code"] or {}, facts["versions"].get("hlx", "?")
    commit = f", commit {code['commit'][:10]}{' with changes' if code['dirty'] else ''}" if code.get("commit") else ""
    return f"hlx {version}{commit}, torch {facts['versions'].get('torch', '?')}"


def _coloured(outcome: str) -> str:
    colour = {"pass": "green", "fail": "red"}.get(outcome, "yellow")
    return f"[{colour}]{outcome}[/]"


def _time(iso: str) -> str:
    return iso[:16].replace("T", " ") + " UTC"


@lineage_app.command("verify")
def verify_command(
    checkpoint: Named,
    checkpoint_dir: Directory = None,
    key: Annotated[
        Path | None, typer.Option(help="Public key (PEM) that it must be signed with.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Hash everything again and follow every link; works on a copied directory. Exit code 0, or 1: something is broken.

    What is not at hand (corpora and parents of a checkpoint that was copied alone) is unchecked, not broken.
    """
    directory = checkpoint_of(checkpoint, checkpoint_dir or default_training())
    findings = list(verify_lineage(directory, key))
    broken = [finding for finding in findings if finding.outcome == "broken"]
    if as_json:
        typer.echo(json.dumps({"broken": bool(broken), "links": [f.to_json() for f in findings]}, indent=2))
    else:
        _tell(findings, broken)
    raise typer.Exit(1 if broken else 0)


def _tell(findings: Sequence[LinkFinding], broken: Sequence[LinkFinding]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for finding in findings:
        console.print(f"{SIGNS[finding.outcome]} {escape(finding.link)}: {escape(finding.reason)}")
    count: Counter[str] = Counter(finding.outcome for finding in findings)
    console.print(", ".join(f"{count[outcome]} {outcome}" for outcome in SIGNS if count[outcome]))
    if broken:
        console.print(f"[red]broken first:[/] {escape(broken[0].link)}: {escape(broken[0].reason)}")


@lineage_app.command("uses")
def uses_command(
    corpus: Annotated[
        str | None,
        typer.Argument(help="A document's path, name or SHA-256, or a corpus's data version.", show_default=False),
    ] = None,
    line: Annotated[int | None, typer.Option(help="The entry at this line of it.", show_default=False)] = None,
    text: Annotated[
        str | None, typer.Option(help="A sentence, or a line of HLX, wherever it stands.", show_default=False)
    ] = None,
    checkpoint_dir: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Show every model that a document, an entry (--line) or a sentence (--text) went into.

    Exit code 1: something could not be looked at, a corpus that is not at hand or a manifest that cannot be read.
    """
    training = training_folder(checkpoint_dir)
    if (corpus is None) == (text is None):
        raise ValueError("name a document (with --line for one entry of it), or a sentence with --text")
    if text is not None:
        if line is not None:
            raise ValueError("--line is of a document: name it, and leave --text out")
        found = uses_of_text(text, training)
    else:
        assert corpus is not None
        found = uses_of_document(corpus, training) if line is None else uses_of_line(corpus, line, training)
    if as_json:
        content = {"uses": [use.to_json() for use in found.found], "unchecked": list(found.unchecked)}
        typer.echo(json.dumps(content, indent=2, ensure_ascii=False))
    elif found.found:
        _table(found.found)
    else:
        typer.echo("no model is known to have seen it" if found.unchecked else "no model saw it")
    for unchecked in found.unchecked:
        typer.echo(f"unchecked: {unchecked}", err=True)
    raise typer.Exit(1 if found.unchecked else 0)


def _table(found: Sequence[Use]) -> None:
    console = Console(highlight=False)
    for what in dict.fromkeys(use.what for use in found):
        shown = Table(Column("training", no_wrap=True), "phase", "made", "how", box=SIMPLE, padding=(0, 1, 0, 0))
        uses = [use for use in found if use.what == what]
        for training in dict.fromkeys(use.training_id for use in uses):
            of_it = [use for use in uses if use.training_id == training]
            how = "\n".join(f"{use.how}: {use.corpus}" for use in of_it)
            shown.add_row(training, str(of_it[0].phase), _time(of_it[0].created), how)
        console.print(what, shown, markup=False, sep="\n")
    checkpoints = {f"{use.training_id}/{name}" for use in found for name in use.checkpoints}
    learned = {use.training_id for use in found if use.how.startswith("trained")}
    typer.echo(f"trainings that learned from it: {len(learned)}, checkpoints: {len(checkpoints)} (`--json` names them)")
