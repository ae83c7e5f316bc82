"""`hlx validate`: judge a checkpoint. Exit code 0 pass, 1 fail, 2 warn."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from hlx_model.artifacts import write_json
from hlx_model.device import device_of
from hlx_model.quality.report import judge

EXIT_CODES = {"pass": 0, "fail": 1, "warn": 2}


def validate_command(
    checkpoint: Annotated[Path, typer.Option(help="The directory of a checkpoint.", show_default=False)],
    output: Annotated[Path | None, typer.Option(help="Write the report as JSON here too.", show_default=False)] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda.", show_default="cuda where there is a GPU")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Judge a checkpoint and write its report and verdict. Exit code 0: pass; 1: fail; 2: warn."""
    judgement = judge(checkpoint, device or device_of())
    if output is not None:
        write_json(output, judgement.report)
    if as_json:
        typer.echo(json.dumps(judgement.report, ensure_ascii=False, indent=2))
    else:
        console = Console(highlight=False)
        table = Table("gate", "outcome", "figure", title=f"{checkpoint.name}: {judgement.verdict.outcome}")
        for gate in judgement.verdict.gates:
            table.add_row(gate.name, gate.outcome, gate.reason)
        console.print(table, markup=False)
        typer.echo(f"report: {judgement.directory / 'report.md'}")
    raise typer.Exit(EXIT_CODES[judgement.verdict.outcome])
