"""`hlx export`: write a checkpoint as a folder for others, with its model card and what it was made from."""

from pathlib import Path
from typing import Annotated

from typer import Argument

from hlx_model.checkpoints.manifest import CheckpointError
from hlx_model.cli.options import Directory, Named, option, training_folder
from hlx_model.cli.show import echo
from hlx_model.provenance.lookup import checkpoint_of
from hlx_model.provenance.record import record_of
from hlx_model.release.export import export
from hlx_model.reporting.conclusion import conclusion


def export_command(
    checkpoint: Named,
    directory: Annotated[Path, Argument(metavar="DIR", help="Folder to write: new, or empty.")],
    format: Annotated[
        str,
        option(
            "Of the weights: safetensors; pt for scripts that load a state dict; onnx for ONNX Runtime in a browser, "
            "C++ or Rust, with the extra onnx."
        ),
    ] = "safetensors",
    key: Annotated[Path | None, option("Private key (PEM) to sign the folder with.")] = None,
    checkpoint_dir: Directory = None,
) -> None:
    """Write a checkpoint as a folder for others.

    The folder contains the weights, the model card, the report, and what the model was made from.

    A checkpoint that did not pass its gates, or was never evaluated, is exported only if it is named itself, not by its
    training or asset; the card and a warning say so.
    """
    found = checkpoint_of(checkpoint, training_folder(checkpoint_dir, required=False))
    if Path(checkpoint).name != found.name:
        record = record_of(found)
        if why := record.not_passed:
            name = record.tree.name
            raise CheckpointError(f"{name} {why}: to export it all the same, name it: hlx export {name} {directory}")
    record = export(found, directory, format, key)
    for objection in record.objections():
        echo(f"warning: {record.tree.name}: {' '.join(objection.split())}", err=True)
    if record.report:
        echo(conclusion(record.report), err=True)
    echo(directory)
