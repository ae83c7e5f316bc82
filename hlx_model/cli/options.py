"""Options and arguments that several commands have in common."""

from pathlib import Path
from typing import Annotated

import typer

from hlx_model.layout import default_training

Directory = Annotated[
    Path | None, typer.Option(help="Folder of the trainings.", show_default="$DAGSTER_HOME/artifacts/training")
]
"""`--checkpoint-dir`."""
Named = Annotated[
    str,
    typer.Argument(
        help="A checkpoint's directory, ID/NAME, a training's id or its first characters, or an asset: "
        "phase3_checkpoint.",
        show_default=False,
    ),
]
"""A checkpoint, as `provenance.lookup.checkpoint_of` takes it."""
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


def training_folder(named: Path | None) -> Path:
    """Return the folder of the trainings: the named one, or the default one, which need not exist yet.

    Raises:
        ValueError: the named one does not exist.
    """
    if named is not None and not named.is_dir():
        raise ValueError(f"{named}: no such folder: name the folder of the trainings with --checkpoint-dir")
    return named or default_training()
