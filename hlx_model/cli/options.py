"""Options and arguments that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

Directory = Annotated[
    Path | None, typer.Option(help="Folder of the trainings.", show_default="$DAGSTER_HOME/artifacts/training")
]
"""`--checkpoint-dir`."""
Named = Annotated[
    str,
    typer.Argument(
        help="A checkpoint's directory, ID/NAME, a training's id or its beginning, or an asset: phase3_checkpoint.",
        show_default=False,
    ),
]
"""A checkpoint, as `lineage.lookup.checkpoint_of` takes it."""
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
