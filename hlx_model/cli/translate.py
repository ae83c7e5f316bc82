"""`hlx translate`: translate a line with a trained model."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option, echo

from hlx_model.checkpoints import weights as checkpoints
from hlx_model.checkpoints.manifest import CheckpointError
from hlx_model.checkpoints.seal import list_checkpoints, verify_checkpoint
from hlx_model.cli.options import AsJson, option
from hlx_model.cli.show import echo_json
from hlx_model.corpus import ENGLISH, parses, prompt
from hlx_model.language import Format
from hlx_model.layout import CHECKPOINTS, MANIFEST, WEIGHTS, default_training
from hlx_model.model.device import device_of
from hlx_model.model.generation import generate
from hlx_model.model.tokenizer import unknown_characters
from hlx_model.phases import phases_that_write

_NAMED = " or ".join(map(str, phases_that_write("translations")))


def translate_command(
    text: Annotated[str, Argument(help="An English sentence, or a line of HLX.")],
    target: Annotated[str, Option("--to", help=f"{', '.join(Format)} or English.")] = "HLXL",
    checkpoint: Annotated[Path | None, option(f"A phase {_NAMED} checkpoint.", "the newest FINAL one")] = None,
    as_json: AsJson = False,
) -> None:
    """Translate between English and HLX with a trained model."""
    targets = (*Format, ENGLISH)
    if target not in targets:
        raise ValueError(f"--to is {target!r}: choose one of {', '.join(targets)}")
    if unknown := unknown_characters(text):
        raise ValueError(f"the text has characters that the model does not know: {unknown!r}")
    checkpoint = checkpoint or _newest(default_training())
    model = checkpoints.load_model(verify_checkpoint(checkpoint, only=(WEIGHTS,)), device_of())
    answer = generate(model, [prompt(target, text)], max_new_tokens=200)[0]
    well_formed = target == ENGLISH or parses(answer, Format(target))
    if as_json:
        echo_json({"text": answer, "to": target, "parses": well_formed, "checkpoint": checkpoint}, indent=None)
        return
    echo(answer)
    if not well_formed:
        echo(f"warning: the answer is not well-formed {target}", err=True)


def _newest(training: Path) -> Path:
    kinds = [f"phase{phase}_FINAL_" for phase in phases_that_write("translations")]
    folders = training.glob(f"*/{CHECKPOINTS}")
    found = [path for folder in folders for path in list_checkpoints(folder) if path.name.startswith(tuple(kinds))]
    if not found:
        raise CheckpointError(
            f"{training} contains no finished phase {_NAMED}: run `make curriculum`, or name a --checkpoint"
        )
    return max(found, key=lambda path: (path / MANIFEST).stat().st_mtime)
