"""Assets as directories on disk, and the guard at the place where every consumer reads them.

An asset writes its own directory (whole, by rename) and returns the path. This IO manager records the path on the
materialization, and reads it from there. Dagster's `blocking=True` orders steps within one run only; in every run
`load_input` refuses an input that did not pass its gates.
"""

import os
from pathlib import Path

import dagster as dg

from hlx_assets.guard import require_gates
from hlx_model.files import utc_now
from hlx_model.layout import Artifacts
from hlx_model.provenance.events import Event, record_event

ARTIFACT = "artifact"
NEVER_MADE = "was never materialized"


def artifacts_at_home() -> Artifacts:
    """Return the artifacts in `$DAGSTER_HOME/artifacts`.

    Raises:
        dg.Failure: DAGSTER_HOME is not set.
    """
    home = os.environ.get("DAGSTER_HOME")
    if not home:
        raise dg.Failure("DAGSTER_HOME is not set: use `make curriculum` or `make ui`, or set it", allow_retries=False)
    return Artifacts.at(Path(home).absolute() / "artifacts")


def latest_path(instance: dg.DagsterInstance, key: dg.AssetKey) -> Path:
    """Return the directory of an asset's latest materialization.

    Raises:
        dg.Failure: it was never materialized, or its directory is missing.
    """
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
    """Records where assets are kept, and gives an asset no gated input that did not pass.

    It is no configurable resource: no run can change what gates.
    """

    def handle_output(self, context: dg.OutputContext, obj: Path) -> None:
        """Record the directory of an asset, relative to the root of the artifacts: in Dagster, and beside them."""
        root = artifacts_at_home().root
        relative = obj.absolute().relative_to(root)
        record_event(root, Event(context.asset_key.to_user_string(), str(relative), context.run_id, utc_now()))
        context.add_output_metadata({ARTIFACT: str(relative), "path": dg.MetadataValue.path(obj)})

    def load_input(self, context: dg.InputContext) -> Path:
        """Return the directory of the upstream asset. Checks get it without its gates: they evaluate them.

        Raises:
            dg.Failure: a gate failed; the message names it with its figure.
        """
        instance, key = context.instance, context.asset_key
        path = latest_path(instance, key)
        consumer = context.step_context.assets_def
        if consumer is None or consumer.keys:
            require_gates(key.to_user_string(), path, lambda asset: latest_path(instance, dg.AssetKey(asset)))
        return path
