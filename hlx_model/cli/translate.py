"""`hlx translate`: translate a line with a trained model, and say on standard error what that model can do."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from hlx_model.checkpoints import weights as checkpoints
from hlx_model.checkpoints.manifest import CheckpointError
from hlx_model.checkpoints.seal import VerifiedCheckpoint, creation_key, list_checkpoints, verify_checkpoint
from hlx_model.cli.options import NAMED, AsJson, Directory, option, training_folder
from hlx_model.cli.show import echo, echo_exactly, echo_json
from hlx_model.corpus import ENGLISH, parses, prompt
from hlx_model.evaluation.portable import is_portable, report_beside
from hlx_model.evaluation.verdict import Verdict
from hlx_model.language import Format
from hlx_model.layout import CHECKPOINTS, REPORT, WEIGHTS, Artifacts
from hlx_model.model.device import device_of
from hlx_model.model.generation import generate
from hlx_model.model.tokenizer import unknown_characters
from hlx_model.phases import PHASES, phases_that_write
from hlx_model.provenance.lookup import checkpoint_of
from hlx_model.reporting.conclusion import conclusion
from hlx_model.reporting.models import Report
from hlx_model.runs.passing import pass_on_of
from hlx_model.verdicts import GateClosed

_TRANSLATING = phases_that_write("translations")
_NAMED = " or ".join(map(str, _TRANSLATING))


def translate_command(
    text: Annotated[str, Argument(help="An English sentence, or a line of HLX.")],
    target: Annotated[str, Option("--to", help=f"{', '.join(Format)} or English.")] = "HLXL",
    checkpoint: Annotated[
        str | None, option(f"{NAMED} It is of phase {_NAMED}.", "the newest finished one that did not fail its gates")
    ] = None,
    checkpoint_dir: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Translate between English and HLX with a trained model.

    Standard error says what the model can do, and names it and its verdict.
    """
    targets = (*Format, ENGLISH)
    if target not in targets:
        raise ValueError(f"--to is {target!r}: choose one of {', '.join(targets)}")
    if not text.strip():
        raise ValueError("the text is empty: give a sentence, or a line of HLX")
    if unknown := unknown_characters(text):
        raise ValueError(f"the text has characters that the model does not know: {unknown!r}")
    if target == ENGLISH and not any(parses(text, format) for format in Format):
        raise ValueError(f"the text is a line of no format of HLX: to translate a sentence, leave --to {ENGLISH} out")
    training = training_folder(checkpoint_dir, required=checkpoint is None)
    chosen = checkpoint_of(checkpoint, training) if checkpoint is not None else _newest(training)
    verified = verify_checkpoint(chosen, only=(WEIGHTS,))
    path, manifest = verified
    if manifest.phase not in _TRANSLATING:
        raise CheckpointError(
            f"{path} is of phase {manifest.phase} ({PHASES[manifest.phase].title}), which does not translate: "
            f"name a checkpoint of phase {_NAMED}"
        )
    model = checkpoints.load_model(verified, device_of())
    answer = generate(model, [prompt(target, text)], max_new_tokens=200)[0]
    well_formed = target == ENGLISH or parses(answer, Format(target))
    if as_json:
        echo_json({"text": answer, "to": target, "parses": well_formed, "checkpoint": path}, indent=None)
    else:
        echo_exactly(answer)
    for line in _trust(verified):
        echo(line, err=True)
    if not well_formed:
        echo(f"warning: the answer is not well-formed {target}", err=True)


def _trust(verified: VerifiedCheckpoint) -> Iterator[str]:
    """Yield what a model can and cannot do, and a line that names it and its verdict."""
    again, found = f"`hlx validate --checkpoint {verified.path}`", _verdict(verified)
    if found is None:
        yield f"warning: {verified.ref} was never evaluated: {again}"
        return
    verdict, folder = found
    if verdict.void:
        yield f"warning: {verified.ref}: {verdict.void}: {again}"
        return
    report = Report.read_current(folder / REPORT) if (folder / REPORT).is_file() else None
    missing = "; no report on these weights"
    if report is not None and report.weights_sha256 == verified.manifest.weights_sha256:
        missing = ""
        yield conclusion(report)
    line = f"{verified.ref}: verdict {verdict.outcome}"
    if failed := [gate.name for gate in verdict.gates if gate.outcome == "fail"]:
        line = f"warning: {line} ({', '.join(failed)})"
    elif verdict.fitness is not None and verdict.fitness.by_heart:
        line = f"warning: {line}, learned by heart, not shown to generalize"
    yield f"{line}{missing}"


def _verdict(verified: VerifiedCheckpoint) -> tuple[Verdict, Path] | None:
    """Return the verdict on a checkpoint and the folder of its report; None if there is none on these weights.

    An exported folder contains its report, and a later one may be beside it.
    """
    path = verified.path
    folders = (report_beside(path), path) if is_portable(path) else (Artifacts.of_checkpoint(path).report(path),)
    for folder in folders:
        with suppress(GateClosed):
            verdict = Verdict.read(folder)
            if verdict.weights_sha256 == verified.manifest.weights_sha256:
                return verdict, folder
    return None


def _newest(training: Path) -> Path:
    """Return a checkpoint that translates and did not fail its gates, of the training that was completed last.

    That is the checkpoint that the training passes on, else the FINAL one, else the BEST one.
    """
    kinds = tuple(f"phase{phase}_FINAL_" for phase in _TRANSLATING)
    folders = training.glob(f"*/{CHECKPOINTS}")
    finals = [path for folder in folders for path in list_checkpoints(folder) if path.name.startswith(kinds)]
    if not finals:
        raise CheckpointError(
            f"{training} contains no finished phase {_NAMED}: run `make curriculum`, or name a --checkpoint"
        )
    finals.sort(key=creation_key, reverse=True)
    for path in (path for final in finals for path in _finished(final)):
        judged = _verdict(verify_checkpoint(path, only=()))
        if judged is not None and judged[0].outcome != "fail" and not judged[0].void:
            return path
    raise CheckpointError(
        f"no finished phase {_NAMED} in {training} passed its gates: `hlx validate --checkpoint {finals[0]}` says what "
        f"the newest lacks; to use it all the same, name it: --checkpoint {finals[0]}"
    )


def _finished(final: Path) -> list[Path]:
    """Return what may be used of a completed training, first what it passes on."""
    best = [path for path in list_checkpoints(final.parent) if "_BEST_" in path.name]
    return sorted([final, *best], key=lambda path: pass_on_of(path) is None)
