"""Assets as directories on disk, and the guard where every consumer reads them.

An asset writes its own directory (whole, by rename) and hands over the path; this IO manager records it
on the materialization and reads it from there. Dagster's `blocking=True` orders steps within one run
only: what holds in every run is that `load_input` refuses to hand an asset what did not pass.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import dagster as dg

from hlx_assets.guard import require_checks, require_verdict
from hlx_model.files import utc_now
from hlx_model.layout import Artifacts
from hlx_model.provenance.events import Event, record_event

ARTIFACT = "artifact"
NEVER_MADE = "was never materialized"


def artifacts_at_home() -> Artifacts:
    """The artifacts in `$DAGSTER_HOME/artifacts`; `dg.Failure` where DAGSTER_HOME is not set."""
    home = os.environ.get("DAGSTER_HOME")
    if not home:
        raise dg.Failure("DAGSTER_HOME is not set: use `make curriculum` or `make ui`, or set it", allow_retries=False)
    return Artifacts.at(Path(home).absolute() / "artifacts")


def latest_path(instance: dg.DagsterInstance, key: dg.AssetKey) -> Path:
    """The directory of an asset's latest materialization; `dg.Failure` where there is none."""
    event = instance.get_latest_materialization_event(key)
    materialization = event.asset_materialization if event else None
    if materialization is None or ARTIFACT not in materialization.metadata:
        raise dg.Failure(f"{key.to_user_string()} {NEVER_MADE}: materialize it first", allow_retries=False)
    path = artifacts_at_home().root / str(materialization.metadata[ARTIFACT].value)
    if not path.is_dir():
        raise dg.Failure(
            f"{path} is missing, which {key.to_user_string()} was materialized to: materialize it again",
            allow_retries=False,
        )
    return path


class ArtifactIOManager(dg.IOManager):
    """Paths out, paths in; an asset gets no gated input that did not pass.

    It is no configurable resource: its gates are fixed when the definitions are loaded, and no run can change them.

    Args:
        gates: names of the blocking checks by asset.
        judged: the checkpoint asset that each report asset judges.
    """

    def __init__(self, *, gates: Mapping[str, Sequence[str]], judged: Mapping[str, str]) -> None:
        self._gates = {asset: tuple(names) for asset, names in gates.items()}
        self._judged = dict(judged)

    def handle_output(self, context: dg.OutputContext, obj: Path) -> None:
        """Record where the asset is kept, relative to the root of the artifacts: in Dagster, and beside them."""
        root = artifacts_at_home().root
        relative = obj.absolute().relative_to(root)
        record_event(root, Event(context.asset_key.to_user_string(), str(relative), context.run_id, utc_now()))
        context.add_output_metadata({ARTIFACT: str(relative), "path": dg.MetadataValue.path(obj)})

    def load_input(self, context: dg.InputContext) -> Path:
        """The directory of the upstream asset; `dg.Failure` that names the gate where one is closed.

        Checks read what they judge without asking for a verdict on it.
        """
        instance, key = context.instance, context.asset_key
        path = latest_path(instance, key)
        consumer = context.step_context.assets_def
        if consumer is not None and not consumer.keys:
            return path
        require_checks(instance, key, self._gates.get(key.to_user_string(), ()))
        judged = self._judged.get(key.to_user_string())
        if judged is not None:
            require_verdict(latest_path(instance, dg.AssetKey(judged)))
        return path
