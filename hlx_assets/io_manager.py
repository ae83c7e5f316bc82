"""Assets as directories on disk, and the guard at which every consumer reads them.

An asset writes its own directory by atomic rename and returns the path. This IO manager records the path on the
materialization and reads it from there. `blocking=True` orders the steps of one run only; in every run, however it was
started, `usable_path` refuses an input that did not pass its gates, and a training its parent by the same functions
(`curriculum/parent.py`). The truth about a gate is the verdict file beside the reports; the checks in the UI mirror it.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from hlx_assets.common import user_errors
from hlx_assets.home import home_directory
from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.corpus.verdict import GATES_OF_CORPUS, require_corpus_passed
from hlx_model.evaluation.integrity import require_intact
from hlx_model.evaluation.verdict import require_passed
from hlx_model.files import utc_now
from hlx_model.json_model import relative_path
from hlx_model.layout import DOCUMENT, Artifacts
from hlx_model.phases import PHASES
from hlx_model.provenance.events import Event, record_event
from hlx_model.shown import one_line
from hlx_model.verdicts import GateClosed

CHECKPOINTS = frozenset(phase.checkpoint_asset for phase in PHASES.values())
REPORTS = {phase.report_asset: phase.checkpoint_asset for phase in PHASES.values()}
"""The checkpoint that each report is on."""

ARTIFACT = "artifact"
"""The metadata of a materialization that contains the asset's directory, relative to the root of the artifacts."""
NEVER_MADE = "was never materialized"


def artifacts_at_home() -> Artifacts:
    """Return the artifacts in `$DAGSTER_HOME/artifacts`; `dg.Failure` if DAGSTER_HOME is not usable."""
    with user_errors():
        return Artifacts.at(home_directory() / "artifacts")


def latest_path(instance: dg.DagsterInstance, key: dg.AssetKey) -> Path:
    """Return the directory of an asset's latest materialization; `dg.Failure` if it or its directory is missing."""
    event = instance.get_latest_materialization_event(key)
    materialization = event.asset_materialization if event else None
    if materialization is None or ARTIFACT not in materialization.metadata:
        raise dg.Failure(f"{key.to_user_string()} {NEVER_MADE}: materialize it first", allow_retries=False)
    with user_errors():
        path = artifacts_at_home().root / relative_path(str(materialization.metadata[ARTIFACT].value))
    if not path.is_dir():
        missing = f"{path}, the directory of {key.to_user_string()}, is missing: materialize it again"
        raise dg.Failure(missing, allow_retries=False)
    return path


@contextmanager
def refusals(instance: dg.DagsterInstance, consumers: Iterable[dg.AssetKey], press: str) -> Iterator[None]:
    """End the step in one line if the block raises `ValueError`, and show the line on the pages of the consumers.

    Args:
        instance: of the run.
        consumers: the assets that the step makes.
        press: what a person does in the UI about a closed gate.
    """
    try:
        yield
    except ValueError as error:
        refused = one_line(f"{error.reason}: {press}" if isinstance(error, GateClosed) else error)
        for key in consumers:
            # The page of an asset shows its last observation, and no failed run's reason.
            instance.report_runless_asset_event(dg.AssetObservation(key, metadata={"refused": refused}))
        raise dg.Failure(refused, allow_retries=False) from None


def usable_path(instance: dg.DagsterInstance, key: dg.AssetKey, consumers: Iterable[dg.AssetKey]) -> Path:
    """Return the directory of an asset's latest materialization, whose gates allow the consumers to build on it.

    Raises:
        dg.Failure: it is missing, or a gate failed; the message names it with its figure, and what to press.
    """
    path, asset = latest_path(instance, key), key.to_user_string()
    with refusals(instance, consumers, _press(asset)):
        _require_gates(instance, asset, path)
    return path


def require_usable(checkpoint: Path) -> None:
    """Require that a checkpoint is intact and passed its gates.

    Raises:
        GateClosed: a gate failed; names it with its figure.
        ValueError: the checkpoint or one of its corpora is damaged.
    """
    require_intact(checkpoint)
    require_passed(verify_checkpoint(checkpoint))


class ArtifactIOManager(dg.IOManager):
    """Records where assets are kept, and gives an asset no gated input that did not pass.

    It has no configuration, so no run can weaken the gates.
    """

    def handle_output(self, context: dg.OutputContext, obj: Path) -> None:
        """Record the directory of an asset in Dagster and beside the artifacts, relative to their root."""
        root = artifacts_at_home().root
        relative = obj.absolute().relative_to(root)
        record_event(root, Event(context.asset_key.to_user_string(), str(relative), context.run_id, utc_now()))
        context.add_output_metadata({ARTIFACT: str(relative), "path": dg.MetadataValue.path(obj)})

    def load_input(self, context: dg.InputContext) -> Path:
        """Return the directory of the upstream asset. Checks get it without its gates: they evaluate them.

        Raises:
            dg.Failure: a gate failed; the message names it with its figure, and what to press.
        """
        consumer = context.step_context.assets_def
        if consumer is not None and not consumer.keys:  # asset checks have no keys
            return latest_path(context.instance, context.asset_key)
        return usable_path(context.instance, context.asset_key, consumer.keys if consumer else ())


def _press(asset: str) -> str:
    """Return what a person does in the UI about the closed gate of an asset."""
    if asset in GATES_OF_CORPUS:
        return f"correct the document, then press Materialize on {DOCUMENT} and what follows it"
    if checkpoint := REPORTS.get(asset):
        return f"press Materialize on {asset} to judge again, or on {checkpoint} with other settings to train again"
    return f"press Materialize on {asset}"


def _require_gates(instance: dg.DagsterInstance, asset: str, path: Path) -> None:
    """Require that what an asset was last materialized to may be built on; `GateClosed` names the gate."""
    if asset in GATES_OF_CORPUS:
        require_corpus_passed(path)
    elif asset in CHECKPOINTS:
        require_intact(path)
    elif asset in REPORTS:
        require_passed(verify_checkpoint(latest_path(instance, dg.AssetKey(REPORTS[asset]))))
