"""The checkpoint that a training starts from: chosen when the training starts, guarded, and recorded on the run.

The guard is that of the IO manager, applied to the checkpoint that is used, which need not be the latest one.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import dagster as dg

from hlx_assets.common import user_errors
from hlx_assets.curriculum.outcome import latest_resumption
from hlx_assets.curriculum.session import AFTER, PARENT
from hlx_assets.curriculum.settings import LATEST, PASSED
from hlx_assets.curriculum.summary import made_by
from hlx_assets.dagster_internals import event_log, tag_run
from hlx_assets.io_manager import artifacts_at_home, refusals, require_usable, usable_path
from hlx_model.checkpoints.manifest import CheckpointError, Manifest, read_manifest
from hlx_model.layout import TRAINING_FOLDER
from hlx_model.phases import PHASES, Phase
from hlx_model.provenance.lookup import checkpoint_of, end_of, readable_manifest
from hlx_model.runs.passing import passed_on


def start_of(
    context: dg.AssetExecutionContext, phase: Phase, size: str, *, parent: str | None, continue_from: str | None
) -> Path | None:
    """Return the checkpoint that a training starts from, and record it on the run; None for fresh weights.

    Args:
        context: of the step.
        phase: that is trained.
        size: of the model, for `parent: passed`.
        parent: the setting; None in the first phase.
        continue_from: the setting.

    Raises:
        dg.Failure: there is no such checkpoint, or its gates do not allow it; one line with what to do.
    """
    before = PHASES.get(phase.number - 1)
    if continue_from is not None and parent not in (None, LATEST):
        raise dg.Failure("parent and continue_from are both set: leave one of them out", allow_retries=False)
    start = _parent(context, before, parent or LATEST, size) if before else None
    if continue_from is not None:
        with user_errors():
            start = _named("continue_from", continue_from, phase)
    if start is not None:
        tag_run(context.instance, context.run.run_id, {PARENT: f"{read_manifest(start).training_id}/{start.name}"})
    return start


def _parent(context: dg.AssetExecutionContext, before: Phase, chosen: str, size: str) -> Path:
    """Return the checkpoint of the phase before that the setting `parent` means, whose gates allow to start from it."""
    instance, consumers = context.instance, [context.asset_key]
    if chosen == LATEST:
        latest = usable_path(instance, dg.AssetKey(before.checkpoint_asset), consumers)
        usable_path(instance, dg.AssetKey(before.report_asset), consumers)
        return latest
    with refusals(instance, consumers, f"train phase {before.number} again, or name another `parent`"):
        if chosen != PASSED:
            path = _named("parent", chosen, before)
        elif made := _made_in_chain(instance, context.run, before):
            path = made
        else:
            return _newest_passed(before, size)
        require_usable(path)
        return path


def _named(setting: str, name: str, phase: Phase) -> Path:
    """Return the checkpoint that a setting names; `CheckpointError` if it is not of the phase."""
    found = checkpoint_of(name, artifacts_at_home().training)
    if (of := read_manifest(found).phase) != phase.number:
        raise CheckpointError(f"{setting} is {name}, of phase {of}: name a checkpoint of phase {phase.number}")
    return found


def _made_in_chain(instance: dg.DagsterInstance, run: dg.DagsterRun, before: Phase) -> Path | None:
    """Return the checkpoint of a phase that a run made, or the nearest run back along its chain; None if none did."""
    seen: set[str] = set()
    here: dg.DagsterRun | None = run
    while here is not None and here.run_id not in seen:
        seen.add(here.run_id)
        made = made_by(event_log(instance, here.run_id, {dg.DagsterEventType.ASSET_MATERIALIZATION}))
        if before.checkpoint_asset in made:
            return made[before.checkpoint_asset]
        after = here.tags.get(AFTER)
        here = latest_resumption(instance, after) if after else None
    return None


def _newest_passed(before: Phase, size: str) -> Path:
    """Return the newest checkpoint of a phase and a size that passed its gates; `CheckpointError` if none did."""
    ended = [one for one in _ended() if (one[0].phase, one[0].size) == (before.number, size)]
    for _, checkpoint in sorted(ended, key=lambda one: one[0].created, reverse=True):
        with suppress(ValueError, OSError):
            require_usable(checkpoint)
            return checkpoint
    passed = f"no checkpoint of phase {before.number} and size {size} has passed its gates"
    raise CheckpointError(f"{passed}: train phase {before.number} with `size: {size}`, or name one as `parent`")


def _ended() -> Iterator[tuple[Manifest, Path]]:
    """Yield the checkpoint that each completed training of the home passes on, with its manifest."""
    for folder in TRAINING_FOLDER.find(artifacts_at_home().root):
        checkpoint = passed_on(folder) or end_of(folder)
        manifest = readable_manifest(checkpoint) if checkpoint else None
        if checkpoint and manifest and not manifest.stopped:
            yield manifest, checkpoint
