"""The finished model: which one is used if none is named, and what its verdict lets others expect of it."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from hlx_model.checkpoints.manifest import CheckpointError
from hlx_model.checkpoints.seal import VerifiedCheckpoint, creation_key, list_checkpoints, verify_checkpoint
from hlx_model.checkpoints.weights import load_model
from hlx_model.evaluation.portable import is_portable, load_exported, report_beside
from hlx_model.evaluation.verdict import Verdict
from hlx_model.layout import CHECKPOINTS, EXPORT_FOLDER, REPORT, WEIGHTS, Artifacts
from hlx_model.model.transformer import Transformer
from hlx_model.phases import PHASES, phases_that_write
from hlx_model.provenance.lookup import checkpoint_of
from hlx_model.release.verify import verify
from hlx_model.reporting.conclusion import conclusion
from hlx_model.reporting.models import Report
from hlx_model.runs.passing import pass_on_of
from hlx_model.verdicts import GateClosed

_TRANSLATING = phases_that_write("translations")
TRANSLATING = " or ".join(map(str, _TRANSLATING))
"""The numbers of the phases whose models translate, in words."""


def finished_model(named: str | None, training: Path) -> VerifiedCheckpoint:
    """Return a checkpoint or an exported folder that translates. Its manifest is read, its files are not verified.

    Args:
        named: as `checkpoint_of` takes it; None for the newest finished one that did not fail its gates.
        training: the folder of the trainings.

    Raises:
        CheckpointError: there is none, or it is of a phase that does not translate.
    """
    path = newest(training) if named is None else checkpoint_of(named, training)
    found = verify_checkpoint(path, only=())
    if (phase := found.manifest.phase) not in _TRANSLATING:
        raise CheckpointError(
            f"{path} is of phase {phase} ({PHASES[phase].title}), which does not translate: "
            f"name a checkpoint of phase {TRANSLATING}"
        )
    return found


def load_finished(model: VerifiedCheckpoint, device: str) -> Transformer:
    """Return the model of a checkpoint, or of an exported folder, on a device.

    Raises:
        CheckpointError: a file is not as it was written: the weights of a checkpoint, any file of an exported folder.
    """
    verified = verify_finished(model)
    if EXPORT_FOLDER.describes(model.path):
        return load_exported(model.path, model.manifest).to(device)
    return load_model(verified, device)


def verify_finished(model: VerifiedCheckpoint) -> VerifiedCheckpoint:
    """Verify the weights of a checkpoint, or every file of an exported folder, and return it.

    Raises:
        CheckpointError: one is not as it was written.
    """
    if not EXPORT_FOLDER.describes(model.path):
        return verify_checkpoint(model.path, only=(WEIGHTS,))
    for link in verify(model.path):
        if link.outcome == "broken":
            raise CheckpointError(f"{link.reason}: export it again, into a folder of its own")
    return model


def newest(training: Path) -> Path:
    """Return a checkpoint that translates and did not fail its gates, of the training that was completed last.

    That is the checkpoint that the training passes on, else the FINAL one, else the BEST one.

    Raises:
        CheckpointError: there is none; says what to do.
    """
    kinds = tuple(f"phase{phase}_FINAL_" for phase in _TRANSLATING)
    folders = training.glob(f"*/{CHECKPOINTS}")
    finals = [path for folder in folders for path in list_checkpoints(folder) if path.name.startswith(kinds)]
    if not finals:
        raise CheckpointError(
            f"{training} contains no finished phase {TRANSLATING}: run `make curriculum`, or name a checkpoint"
        )
    finals.sort(key=creation_key, reverse=True)
    for path in (path for final in finals for path in _finished(final)):
        judged = verdict_on(verify_checkpoint(path, only=()))
        if judged is not None and judged[0].outcome != "fail" and not judged[0].void:
            return path
    raise CheckpointError(
        f"no finished phase {TRANSLATING} in {training} passed its gates: `hlx validate --checkpoint {finals[0]}` says "
        f"what the newest lacks; to use it all the same, name that checkpoint"
    )


def verdict_on(model: VerifiedCheckpoint) -> tuple[Verdict, Path] | None:
    """Return the verdict on a model and the folder of its report; None if there is none on these weights.

    An exported folder contains its report, and a later one may be beside it.
    """
    path = model.path
    folders = (report_beside(path), path) if is_portable(path) else (Artifacts.of_checkpoint(path).report(path),)
    for folder in folders:
        with suppress(GateClosed):
            verdict = Verdict.read(folder)
            if verdict.weights_sha256 == model.manifest.weights_sha256:
                return verdict, folder
    return None


def trust(model: VerifiedCheckpoint) -> Iterator[str]:
    """Yield what a model can and cannot do, and a line that names it and its verdict."""
    again, found = f"`hlx validate --checkpoint {model.path}`", verdict_on(model)
    if found is None:
        yield f"warning: {model.ref} was never evaluated: {again}"
        return
    verdict, folder = found
    if verdict.void:
        yield f"warning: {model.ref}: {verdict.void}: {again}"
        return
    report = Report.read_current(folder / REPORT) if (folder / REPORT).is_file() else None
    missing = "; no report on these weights"
    if report is not None and report.weights_sha256 == model.manifest.weights_sha256:
        missing = ""
        yield conclusion(report)
    line = f"{model.ref}: verdict {verdict.outcome}"
    if failed := [gate.name for gate in verdict.gates if gate.outcome == "fail"]:
        line = f"warning: {line} ({', '.join(failed)})"
    elif verdict.fitness is not None and verdict.fitness.by_heart:
        line = f"warning: {line}, learned by heart, not shown to generalize"
    yield f"{line}{missing}"


def _finished(final: Path) -> list[Path]:
    """Return what may be used of a completed training, first what it passes on."""
    best = [path for path in list_checkpoints(final.parent) if "_BEST_" in path.name]
    return sorted([final, *best], key=lambda path: pass_on_of(path) is None)
