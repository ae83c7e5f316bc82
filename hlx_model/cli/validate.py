"""`hlx validate`: judge a checkpoint, ours or a `.pt` of the users'. Exit code 0 pass, 1 fail, 2 warn."""

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

EXIT_CODES = {"pass": 0, "fail": 1, "warn": 2}


def validate_command(
    checkpoint: Annotated[
        Path, typer.Option(help="The directory of a checkpoint, or a .pt file with a state dict.", show_default=False)
    ],
    corpus: Annotated[
        list[Path] | None,
        typer.Option(help="What to judge a .pt on: documents, or the directory of a kept corpus.", show_default=False),
    ] = None,
    phase: Annotated[
        int | None, typer.Option(help="What to ask of a .pt: phase 1, 2 or 3.", show_default=False)
    ] = None,
    heads: Annotated[
        int | None, typer.Option(help="Attention heads of a .pt.", show_default="those of the size of its shapes")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write the report as JSON here too.", show_default=False)] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda.", show_default="cuda where there is a GPU")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Judge a checkpoint and write its report and verdict. Exit code 0: pass; 1: fail; 2: warn.

    A checkpoint of hlx train is judged on the corpora that its manifest names. A .pt file needs --corpus and --phase;
    only its weights are read, and its report is written beside it, into NAME.report.
    """
    place = None
    if output is not None:
        ours = checkpoint.is_dir()
        report = Artifacts.of_checkpoint(checkpoint).report(checkpoint) if ours else report_beside(checkpoint)
        place = require_output(output, inputs=[checkpoint, *(corpus or [])], own=report)
    judgement = _judge(checkpoint, corpus or [], phase, heads, device_of(device))
    if place is not None:
        write_output(place, [json_text(judgement.report)])
    if as_json:
        typer.echo(json.dumps(judgement.report, ensure_ascii=False, indent=2))
    else:
        console = Console(highlight=False)
        table = Table("gate", "outcome", "figure", title=f"{checkpoint.name}: {judgement.verdict.outcome}")
        for gate in judgement.verdict.gates:
            table.add_row(gate.name, gate.outcome, gate.reason)
        console.print(table, markup=False)
        typer.echo(f"report: {judgement.directory / PAGE}")
    raise typer.Exit(EXIT_CODES[judgement.verdict.outcome])


def _judge(checkpoint: Path, corpus: list[Path], phase: int | None, heads: int | None, device: str) -> EvaluationResult:
    if not checkpoint.exists():
        raise CheckpointError(f"{checkpoint}: no such checkpoint")
    if checkpoint.is_dir():
        if corpus or phase is not None or heads is not None:
            raise ValueError(
                f"{checkpoint}: judged on the corpora that its manifest names: leave --corpus, --phase and --heads out"
            )
        return evaluate(checkpoint, device)
    if not corpus:
        raise ValueError(f"{checkpoint}: a file of weights: name a corpus document to judge it on with --corpus")
    if phase is None:
        raise ValueError(f"{checkpoint}: a file of weights: say what to ask of it with --phase 1, 2 or 3")
    return evaluate_pt_file(checkpoint, corpus, phase, heads=heads, device=device)
