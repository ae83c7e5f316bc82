"""`hlx validate`: evaluate a checkpoint of hlx or a `.pt` file. Exit code 0: pass; 1: fail; 2: warn."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from hlx_model.checkpoints.manifest import CheckpointError
from hlx_model.evaluation.evaluate import EvaluationResult, evaluate
from hlx_model.evaluation.pt_file import evaluate_pt_file, report_beside
from hlx_model.files import json_text
from hlx_model.layout import PAGE, Artifacts
from hlx_model.model.device import device_of
from hlx_model.outputs import require_output, write_output
from hlx_model.phases import ANY_PHASE

EXIT_CODES = {"pass": 0, "fail": 1, "warn": 2}


def validate_command(
    checkpoint: Annotated[
        Path, typer.Option(help="The directory of a checkpoint, or a .pt file with a state dict.", show_default=False)
    ],
    corpus: Annotated[
        list[Path] | None,
        typer.Option(
            help="What to evaluate a .pt on: documents, or the directory of a kept corpus.", show_default=False
        ),
    ] = None,
    phase: Annotated[
        int | None, typer.Option(help=f"The phase whose gates apply to a .pt: {ANY_PHASE}.", show_default=False)
    ] = None,
    heads: Annotated[
        int | None, typer.Option(help="Attention heads of a .pt.", show_default="by the shapes of its weights")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="A second place for the report, as JSON.", show_default=False)
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda.", show_default="cuda if there is a GPU, else cpu")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Evaluate a checkpoint and write its report and verdict. Exit code 0: pass; 1: fail; 2: warn.

    A checkpoint of hlx train is evaluated on the corpora that its manifest names. A .pt file needs --corpus and
    --phase; only its weights are read, and its report is written beside it, into NAME.report.
    """
    place = None
    if output is not None:
        is_ours = checkpoint.is_dir()
        report = Artifacts.of_checkpoint(checkpoint).report(checkpoint) if is_ours else report_beside(checkpoint)
        place = require_output(output, inputs=[checkpoint, *(corpus or [])], own=report)
    result = _evaluate(checkpoint, corpus or [], phase, heads, device_of(device))
    if place is not None:
        write_output(place, [json_text(result.report.to_json())])
    if as_json:
        typer.echo(json.dumps(result.report.to_json(), ensure_ascii=False, indent=2))
    else:
        table = Table("gate", "outcome", "figure", title=f"{checkpoint.name}: {result.verdict.outcome}")
        for gate in result.verdict.gates:
            table.add_row(gate.name, gate.outcome, gate.reason)
        Console(highlight=False).print(table, markup=False)
        typer.echo(f"report: {result.directory / PAGE}")
    raise typer.Exit(EXIT_CODES[result.verdict.outcome])


def _evaluate(
    checkpoint: Path, corpus: list[Path], phase: int | None, heads: int | None, device: str
) -> EvaluationResult:
    if not checkpoint.exists():
        raise CheckpointError(f"{checkpoint}: no such checkpoint")
    if checkpoint.is_dir():
        if corpus or phase is not None or heads is not None:
            raise ValueError(f"{checkpoint}: its manifest names its corpora: omit --corpus, --phase and --heads")
        return evaluate(checkpoint, device)
    if not corpus:
        raise ValueError(f"{checkpoint}: a .pt file does not name its corpus: pass a document with --corpus")
    if phase is None:
        raise ValueError(f"{checkpoint}: a .pt file does not name its phase: pass --phase {ANY_PHASE}")
    return evaluate_pt_file(checkpoint, corpus, phase, heads=heads, device=device)
