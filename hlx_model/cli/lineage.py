"""`hlx lineage`: what a checkpoint was made from, whether it is still as recorded, and what a corpus was used for."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column
from rich.tree import Tree

from hlx_model.checkpoints.manifest import Manifest
from hlx_model.cli.options import AsJson, Directory, Named, training_folder
from hlx_model.cli.show import coloured, echo_json, minutes, plain_table
from hlx_model.layout import default_training
from hlx_model.provenance.links import Link
from hlx_model.provenance.lookup import checkpoint_of
from hlx_model.provenance.tree import CheckpointNode, Node, lineage, mermaid
from hlx_model.provenance.uses import Use, uses_of_document, uses_of_line, uses_of_text
from hlx_model.release.verify import verify

lineage_app = typer.Typer(no_args_is_help=True, help="What a checkpoint was made from, and what a corpus was used for.")


@lineage_app.command("show")
def show_command(
    checkpoint: Named,
    checkpoint_dir: Directory = None,
    as_json: AsJson = False,
    as_mermaid: Annotated[bool, typer.Option("--mermaid", help="As a diagram for a document.")] = False,
) -> None:
    """Show what a checkpoint or an asset was made from, down to the corpus documents.

    It shows what was recorded when each was made, also after the corpus has changed.
    """
    node = lineage(checkpoint, checkpoint_dir or default_training())
    if as_json:
        echo_json(node.to_json())
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
    name, sha256 = f"[bold]{escape(node.name)}[/]", f"{node.sha256[:16]}…"
    if node.document is not None:
        yield f"{name}  {sha256}  {node.document.bytes:,} bytes"
        yield f"from {escape(node.document.source)}"
    elif isinstance(node, CheckpointNode) and node.manifest is not None and node.available:
        yield f"{name}  weights {sha256}"
        yield from _checkpoint(node, node.manifest)
    elif isinstance(node, CheckpointNode):
        problem = "another checkpoint is in its place" if node.swapped else node.damaged or "missing"
        yield f"{name}  weights {sha256}  [red]{escape(problem)}[/]"
    else:
        yield f"{name}  {sha256}"
        if node.made:
            yield f"made {minutes(node.made)} UTC by run {(node.run_id or '')[:8]}"


def _checkpoint(node: CheckpointNode, m: Manifest) -> Iterator[str]:
    yield f"phase {m.phase}, {m.size}, {m.parameters:,} parameters, epoch {m.epoch} of {m.epochs}, step {m.step}"
    by, device = f"run {m.run_id[:8]}" if m.run_id else "hlx train", f" on {m.device}" if m.device else ""
    yield f"made {minutes(m.created)} UTC by {by}{device}, {_code(m)}"
    yield f"seed {m.settings.get('seed')}, learning rate {m.settings.get('learning_rate')}"
    outcome = node.verdict.outcome if node.verdict else "none on these weights"
    failed = f" ({', '.join(node.failed_gates)})" if node.failed_gates else ""
    yield f"verdict: {coloured(outcome)}{failed}"
    if m.stopped:
        yield f"[red]stopped: {escape(m.stopped)}[/]"
    if node.started_by:
        yield f"allowed to start from its parent: {node.started_by}"
    yield from (f"[yellow]resumed by hand from {name}[/]" for name in m.resumed)
    yield from (f"[red]made from {name} although its gate was closed (--ungated)[/]" for name in m.ungated)


def _code(m: Manifest) -> str:
    changes = " with changes" if m.code.get("dirty") else ""
    commit = f", commit {m.code['commit'][:10]}{changes}" if m.code.get("commit") else ""
    return f"hlx {m.versions.get('hlx', '?')}{commit}, torch {m.versions.get('torch', '?')}"


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

    Missing dependencies (corpora and parents of a checkpoint that was copied alone) are unchecked, not broken.
    """
    links = list(verify(checkpoint_of(checkpoint, checkpoint_dir or default_training()), key))
    broken = [link for link in links if link.outcome == "broken"]
    if as_json:
        echo_json({"broken": bool(broken), "links": [link._asdict() for link in links]})
    else:
        _show(links, broken)
    raise typer.Exit(1 if broken else 0)


def _show(links: Sequence[Link], broken: Sequence[Link]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for link in links:
        console.print(f"{coloured(link.outcome)} {escape(link.link)}: {escape(link.reason)}")
    count = Counter[str](link.outcome for link in links)
    console.print(
        ", ".join(f"{count[outcome]} {outcome}" for outcome in ("ok", "broken", "unchecked") if count[outcome])
    )
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
        str | None, typer.Option(help="A sentence, or a line of HLX, in any document.", show_default=False)
    ] = None,
    checkpoint_dir: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Show every model that used a document, an entry (--line) or a sentence (--text).

    Exit code 1: something could not be checked, because a corpus is missing or a manifest cannot be read.
    """
    training = training_folder(checkpoint_dir)
    if (corpus is None) == (text is None):
        raise ValueError("name a document (with --line for one entry of it), or a sentence with --text")
    if text is not None:
        if line is not None:
            raise ValueError("--line needs a document: name it, and leave --text out")
        uses = uses_of_text(text, training)
    else:
        assert corpus is not None
        uses = uses_of_document(corpus, training) if line is None else uses_of_line(corpus, line, training)
    if as_json:
        echo_json({"uses": [use._asdict() for use in uses.found], "unchecked": uses.unchecked})
    elif uses.found:
        _table(uses.found)
    else:
        typer.echo("no model is known to have seen it" if uses.unchecked else "no model saw it")
    for unchecked in uses.unchecked:
        typer.echo(f"unchecked: {unchecked}", err=True)
    raise typer.Exit(1 if uses.unchecked else 0)


def _table(found: Sequence[Use]) -> None:
    """Print a table for each thing that was used, with a row a training."""
    console = Console(highlight=False)
    for what in dict.fromkeys(use.what for use in found):
        table = plain_table(Column("training", no_wrap=True), "phase", "made", "how", gap=1)
        uses = [use for use in found if use.what == what]
        for training in dict.fromkeys(use.training_id for use in uses):
            own = [use for use in uses if use.training_id == training]
            how = "\n".join(f"{use.how}: {use.corpus}" for use in own)
            table.add_row(training, str(own[0].phase), f"{minutes(own[0].created)} UTC", how)
        console.print(what, table, markup=False, sep="\n")
    checkpoints = {f"{use.training_id}/{name}" for use in found for name in use.checkpoints}
    learned = {use.training_id for use in found if use.how.startswith("trained")}
    typer.echo(f"trainings that learned from it: {len(learned)}, checkpoints: {len(checkpoints)} (`--json` names them)")
