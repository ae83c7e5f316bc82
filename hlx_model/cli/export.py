"""`hlx export`: write a checkpoint as a folder for others, with its model card and what it was made from."""

from pathlib import Path
from typing import Annotated, cast

import typer

from hlx_model.cli.options import Directory, Named
from hlx_model.layout import default_training
from hlx_model.provenance.lookup import checkpoint_of
from hlx_model.release.export import WeightsFormat, export


def export_command(
    checkpoint: Named,
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder to write: new, or empty.", show_default=False)
    ],
    format: Annotated[
        str, typer.Option(help="Of the weights: safetensors, or pt for scripts that load a state dict.")
    ] = "safetensors",
    key: Annotated[
        Path | None, typer.Option(help="Private key (PEM) to sign the folder with.", show_default=False)
    ] = None,
    checkpoint_dir: Directory = None,
) -> None:
    """Write a checkpoint as a folder for others: weights, model card, report, and what it was made from.

    A checkpoint that did not pass its gates is exported too; the card and a warning say so.
    """
    found = checkpoint_of(checkpoint, checkpoint_dir or default_training())
    record = export(found, directory, cast(WeightsFormat, format), key)
    for objection in record.objections():
        typer.echo(f"warning: {record.tree.name}: {' '.join(objection.split())}", err=True)
    typer.echo(directory)
