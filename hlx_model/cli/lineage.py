"""`hlx lineage`: what a checkpoint was made from, whether it is still as recorded, and what a corpus was used for."""

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

from rich.markup import escape
from rich.tree import Tree
from typer import Argument, Exit, Option, Typer

from hlx_model.checkpoints.manifest import Manifest
from hlx_model.cli.options import AsJson, Directory, Named, option, training_folder
from hlx_model.cli.show import UNBOUNDED, DataConsole, coloured, echo, echo_json, minutes, print_table
from hlx_model.money import dollars
from hlx_model.provenance.lookup import checkpoint_of
from hlx_model.provenance.tree import CheckpointNode, Node, lineage, mermaid
from hlx_model.provenance.uses import Use, Uses, uses_of_document, uses_of_line, uses_of_text
from hlx_model.release.verify import verify

lineage_app = Typer(no_args_is_help=True, help="What a checkpoint was made from; what a corpus was used for.")


@lineage_app.command("show")
def show_command(
    checkpoint: Named,
    checkpoint_dir: Directory = None,
    as_json: AsJson = False,
    as_mermaid: Annotated[bool, Option("--mermaid", help="As a diagram for a document.")] = False,
) -> None:
    """Show what a checkpoint or an asset was made from.

    The tree ends with the corpus documents. It shows what was recorded when each was made, also after the corpus has
    changed.
    """
    node = lineage(checkpoint, training_folder(checkpoint_dir, required=False))
    if as_json:
        echo_json(node.to_json())
    elif as_mermaid:
        echo(mermaid(node))
    else:
        DataConsole(highlight=False).print(_branch(node))


def tree_text(node: Node) -> str:
    """Return the tree as `show` prints it on a wide terminal, without colours."""
    file = io.StringIO()
    DataConsole(file=file, width=UNBOUNDED, highlight=False, color_system=None).print(_branch(node))
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


def _branch(node: Node) -> Tree:
    branch = Tree("\n".join(_label(node)))
    for child in node.made_from:
        branch.add(_branch(child))
    return branch


def _label(node: Node) -> Iterator[str]:
    weights = "weights " if isinstance(node, CheckpointNode) else ""
    head = f"[bold]{escape(node.name)}[/]  {weights}{node.sha256[:16]}…"
    if node.document is not None:
        yield f"{head}  {node.document.bytes:,} bytes"
        yield f"from {escape(node.document.source)}"
    elif not isinstance(node, CheckpointNode):
        yield head
        if node.made:
            yield f"made {minutes(node.made)} UTC by run {(node.run_id or '')[:8]}"
    elif node.manifest is not None and node.available:
        yield head
        yield from _checkpoint(node, node.manifest)
    else:
        problem = "another checkpoint is in its place" if node.swapped else node.damaged or "missing"
        yield f"{head}  [red]{escape(problem)}[/]"


def _checkpoint(node: CheckpointNode, m: Manifest) -> Iterator[str]:
    place = f"epoch {m.epoch} of {m.epochs}, step {m.step}"
    yield f"phase {m.phase}, {escape(m.size)}, {m.parameters:,} parameters, {place}"
    if node.chosen:
        yield escape(node.chosen)
    by, device = f"run {m.run_id[:8]}" if m.run_id else "hlx train", f" on {escape(m.device)}" if m.device else ""
    yield f"made {minutes(m.created)} UTC by {by}{device}, {escape(_code(m))}"
    yield escape(f"seed {m.settings.get('seed')}, learning rate {m.settings.get('learning_rate')}")
    outcome = node.verdict.outcome if node.verdict else "none on these weights"
    failed = escape(f" ({', '.join(node.failed_gates)})") if node.failed_gates else ""
    yield f"verdict: {coloured(outcome)}{failed}"
    if m.stopped:
        yield f"[red]stopped: {escape(m.stopped)}[/]"
    if node.started_by:
        yield f"allowed to start from its parent: {escape(node.started_by)}"
    yield from (f"[yellow]resumed by hand from {escape(name)}[/]" for name in m.resumed)
    yield from (f"[red]made from {escape(name)} although its gate was closed (--ungated)[/]" for name in m.ungated)


def _code(m: Manifest) -> str:
    changes = " with changes" if m.code.get("dirty") else ""
    commit = f", commit {m.code['commit'][:10]}{changes}" if m.code.get("commit") else ""
    return f"hlx {m.versions.get('hlx', '?')}{commit}, torch {m.versions.get('torch', '?')}"


@lineage_app.command("verify")
def verify_command(
    checkpoint: Named,
    checkpoint_dir: Directory = None,
    key: Annotated[Path | None, option("Public key (PEM) that it must be signed with.")] = None,
    as_json: AsJson = False,
) -> None:
    """Hash everything again and follow every link. Exit code 0, or 1: something is broken.

    It works on a copied directory too. Missing dependencies (corpora and parents of a checkpoint that was copied alone)
    are unchecked, not broken.
    """
    found = checkpoint_of(checkpoint, training_folder(checkpoint_dir, required=False))
    links = list(verify(found, key))
    broken = [link for link in links if link.outcome == "broken"]
    if as_json:
        echo_json({"broken": bool(broken), "links": [link._asdict() for link in links]})
        raise Exit(1 if broken else 0)
    console = DataConsole(highlight=False, soft_wrap=True)
    for link in links:
        console.print(f"{coloured(link.outcome)} {escape(link.link)}: {escape(link.reason)}")
    count = Counter[str](link.outcome for link in links)
    echo(", ".join(f"{count[outcome]} {outcome}" for outcome in ("ok", "broken", "unchecked") if count[outcome]))
    if broken:
        console.print(f"[red]broken first:[/] {escape(broken[0].link)}: {escape(broken[0].reason)}")
        raise Exit(1)


@lineage_app.command("uses")
def uses_command(
    corpus: Annotated[
        str | None, Argument(help="A document's path, name or SHA-256, or a corpus's data version.")
    ] = None,
    line: Annotated[int | None, option("The entry at this line of it.")] = None,
    text: Annotated[str | None, option("A sentence, or a line of HLX, in any document.")] = None,
    checkpoint_dir: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Show every model that used a document, an entry or a sentence.

    Name the entry with --line, the sentence with --text. If it is in quarantine, the reason is shown.

    Exit code 1: something could not be checked, because a corpus is missing or a manifest cannot be read.
    """
    training = training_folder(checkpoint_dir)
    if text is not None and line is not None:
        raise ValueError("--line needs a document: name it, and leave --text out")
    if text is not None and corpus is None:
        uses = uses_of_text(text, training)
    elif corpus is not None and text is None:
        uses = uses_of_document(corpus, training) if line is None else uses_of_line(corpus, line, training)
    else:
        raise ValueError("name a document (with --line for one entry of it), or a sentence with --text")
    if as_json:
        quarantined = [entry._asdict() for entry in uses.quarantined]
        echo_json({
            "uses": [use._asdict() for use in uses.found], "quarantined": quarantined, "unchecked": uses.unchecked,
            "written": [source._asdict() for source in uses.written],
        })  # fmt: skip
    else:
        _show(uses)
    for unchecked in uses.unchecked:
        echo(f"unchecked: {unchecked}", err=True)
    raise Exit(1 if uses.unchecked else 0)


def _show(uses: Uses) -> None:
    """Print what was in quarantine, and who used the rest."""
    nobody = "no model is known to have seen it" if uses.unchecked else "no model saw it"
    for entry in uses.quarantined:
        ending = "" if uses.found else f": {nobody}"
        echo(f"{entry.document} line {entry.line}: it was set aside (in quarantine: {entry.reason}){ending}")
    if uses.found:
        _show_found(uses.found)
    elif not uses.quarantined:
        echo(nobody)
    for source in uses.written:
        count = f", {source.sentences} sentences" if source.sentences > 1 else ""
        cost = f"{dollars(source.cost_nanodollars)} for {source.entries} entries"
        echo(f"written by {source.provider}/{source.model}{count} (question {source.question[:12]}, {cost}); "
             "`--json` shows the prompt")  # fmt: skip


def _show_found(found: Sequence[Use]) -> None:
    """Print a table for each thing that was used, with a row for each way in which a training used it."""
    for what in dict.fromkeys(use.what for use in found):
        echo(what)
        rows = [
            {"training": use.training_id, "phase": use.phase, "made": f"{minutes(use.created)} UTC",
             "how": f"{use.how}: {use.corpus}"}
            for use in found if use.what == what
        ]  # fmt: skip
        print_table(rows, gap=1)
    checkpoints = {f"{use.training_id}/{name}" for use in found for name in use.checkpoints}
    learned = {use.training_id for use in found if use.how.startswith("trained")}
    echo(f"trainings that learned from it: {len(learned)}, checkpoints: {len(checkpoints)} (`--json` names them)")
