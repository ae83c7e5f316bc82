"""Options and arguments that several commands have in common."""

from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from hlx_model.layout import default_training, missing_training


def option(help: str, default: str | bool = True, *names: str) -> Any:
    """Return an option with its help. If it may be omitted, `default` says what applies then.

    Its name is that of the parameter, unless `names` has others.
    """
    return Option(*names, help=help, show_default=default)


Directory = Annotated[
    Path | None,
    option(
        "Folder of the trainings; corpora and reports are stored beside it.",
        "artifacts/training in $DAGSTER_HOME, or in dagster_home",
    ),
]
"""`--checkpoint-dir`."""
NAMED = "A checkpoint's directory, ID/NAME, a training's id or its first characters, or an asset: phase3_checkpoint."
Named = Annotated[str, Argument(help=NAMED)]
"""A checkpoint, as `provenance.lookup.checkpoint_of` takes it."""
AsJson = Annotated[bool, Option("--json", help="For programs.")]
Device = Annotated[str | None, option("cpu or cuda.", "cuda if there is a GPU, else cpu")]


def training_folder(named: Path | None, *, required: bool = True) -> Path:
    """Return the absolute path of the folder of the trainings: of the named one, or of the default one.

    Args:
        named: `--checkpoint-dir`.
        required: whether the default one must exist. To find a checkpoint by its path, no folder is needed.

    Raises:
        ValueError: it does not exist.
    """
    folder = named.absolute() if named else default_training()
    if (named or required) and not folder.is_dir():
        raise ValueError(missing_training(folder))
    return folder
