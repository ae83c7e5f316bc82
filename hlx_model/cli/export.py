"""`hlx export`: write a checkpoint as a folder for others, with its model card and what it was made from."""

from pathlib import Path
from typing import Annotated

from typer import Argument, echo

from hlx_model.cli.options import Directory, Named, option, training_folder
from hlx_model.provenance.lookup import checkpoint_of
from hlx_model.release.export import export


def export_command(
    checkpoint: Named,
    directory: Annotated[Path, Argument(metavar="DIR", help="Folder to write: new, or empty.")],
    format: Annotated[
        str, option("Of the weights: safetensors, or pt for scripts that load a state dict.")
    ] = "safetensors",
    key: Annotated[Path | None, option("Private key (PEM) to sign the folder with.")] = None,
    checkpoint_dir: Directory = None,
) -> None:
    """Write a checkpoint as a folder for others: weights, model card, report, and what it was made from.

    A checkpoint that did not pass its gates is exported too; the card and a warning say so.
    """
    record = export(checkpoint_of(checkpoint, training_folder(checkpoint_dir)), directory, format, key)
    for objection in record.objections():
        echo(f"warning: {record.tree.name}: {' '.join(objection.split())}", err=True)
    echo(directory)
