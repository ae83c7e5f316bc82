"""phase1_checkpoint → phase2_checkpoint → phase3_checkpoint: one factory for the three phases."""

from pathlib import Path
from typing import Any

import dagster as dg

from hlx_assets.common import CURRICULUM_GROUP, OWNERS, table_metadata, user_errors
from hlx_assets.curriculum.settings import config_of, given
from hlx_assets.curriculum.trainer import TrainerClient
from hlx_assets.executor import NOT_STOPPED, STOPPED
from hlx_assets.io_manager import artifacts_at_home
from hlx_model.checkpoints.manifest import CheckpointError, read_manifest
from hlx_model.checkpoints.progress import read_state
from hlx_model.phases import PHASES, Phase
from hlx_model.provenance.lookup import checkpoint_of
from hlx_model.provenance.tree import of_checkpoint, outline
from hlx_model.runs.directory import TrainingResult
from hlx_model.runs.metrics import METRICS_SCHEMA, read_metrics
from hlx_model.training.settings import CODE_VERSION

FIELDS = ("training_id", "size", "parameters", "epoch", "epochs", "step", "weights_sha256")
"""Fields of a checkpoint's manifest that its materialization shows."""


def _checkpoint(phase: Phase) -> dg.AssetsDefinition:
    ins = {"corpus": dg.AssetIn(phase.corpus)}
    if before := PHASES.get(phase.number - 1):
        ins["parent"] = dg.AssetIn(before.checkpoint_asset)
        # Loading the report requires the verdict on the parent.
        ins["parent_report"] = dg.AssetIn(before.report_asset)

    # A class that is made here is no type to mypy.
    Config: Any = config_of(phase)

    @dg.asset(
        name=phase.checkpoint_asset,
        ins=ins,
        group_name=CURRICULUM_GROUP,
        owners=OWNERS,
        kinds={"pytorch", "safetensors"},
        code_version=CODE_VERSION,
        pool="training",
        description=f"The model that {phase.learns}. It is trained in a child process and resumes after a kill. A "
        "training that a gate or an abort condition stopped is materialized too, with its reason.",
    )
    def checkpoint(
        context: dg.AssetExecutionContext,
        config: Config,
        trainer: dg.ResourceParam[TrainerClient],
        **inputs: Path,
    ) -> dg.MaterializeResult[Path]:
        training, settings = artifacts_at_home().training, given(phase, config)
        continued = settings.pop("continue_from")
        with user_errors():
            parent = inputs.get("parent") if continued is None else _of_phase(phase, continued, training)
        paths = {"corpus": inputs["corpus"], "resume_from": parent, "checkpoint_dir": training}
        result = trainer.train(context, {"phase": phase.number, "yes": True, **paths, **settings})
        if result.found:
            context.log.info(f"nothing was trained: this training ended before, with {result.checkpoint.name}")
        if result.manifest.stopped:
            again = " (change a setting, or set retry_stopped, to train again)" if result.found else ""
            context.log.error(f"the training was stopped{again}: {result.manifest.stopped}")
        return _materialized(phase, result)

    return checkpoint


def _of_phase(phase: Phase, name: str, training: Path) -> Path:
    """Return the checkpoint of a name; `CheckpointError` if it is not of this phase."""
    found = checkpoint_of(name, training)
    if (of := read_manifest(found).phase) != phase.number:
        raise CheckpointError(f"continue_from is {name}, of phase {of}: name a checkpoint of phase {phase.number}")
    return found


def _materialized(phase: Phase, result: TrainingResult) -> dg.MaterializeResult[Path]:
    """Return the materialization of a checkpoint, with what the UI shows of it."""
    manifest, parent = result.manifest, result.manifest.parent
    curve = read_metrics(result.checkpoint.parents[1])
    shown: dict[str, Any] = {
        "checkpoint": result.checkpoint.name,
        # As text: Dagster plots every number, and these make flat lines.
        **{name: str(getattr(manifest, name)) for name in FIELDS},
        "best validation loss (nats per token)": read_state(result.checkpoint).best_loss,
        STOPPED: manifest.stopped or NOT_STOPPED,
        "found": result.found,
        "corpora": {name: version.data_version for name, version in manifest.corpora.items()},
        "corpus": dg.MetadataValue.asset(dg.AssetKey(phase.corpus)),
        "report": dg.MetadataValue.asset(dg.AssetKey(phase.report_asset)),
        "card": dg.MetadataValue.asset(dg.AssetKey(phase.card_asset)),
        "lineage": dg.MetadataValue.md(outline(of_checkpoint(result.checkpoint))),
        "settings": dict(manifest.settings),
        "loss_curve": table_metadata(curve, METRICS_SCHEMA.names, of="float"),
        "parent": f"{parent.training_id}/{parent.name}" if parent else None,
    }
    known = {name: value for name, value in shown.items() if value is not None}
    version = dg.DataVersion(manifest.weights_sha256)
    return dg.MaterializeResult(value=result.checkpoint, data_version=version, metadata=known)


assets = [_checkpoint(phase) for phase in PHASES.values()]
