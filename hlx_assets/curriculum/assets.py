"""phase1_checkpoint → phase2_checkpoint → phase3_checkpoint: one factory for the three phases."""

from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import ConfigDict

from hlx_assets.common import CURRICULUM_GROUP, OWNERS, table_metadata, user_errors
from hlx_assets.curriculum.trainer import TrainerClient
from hlx_assets.io_manager import artifacts_at_home
from hlx_model.checkpoints.manifest import CheckpointError, read_manifest
from hlx_model.checkpoints.progress import read_state
from hlx_model.phases import PHASES, Phase
from hlx_model.provenance.lookup import checkpoint_of
from hlx_model.provenance.tree import of_checkpoint, outline
from hlx_model.runs.directory import TrainingResult
from hlx_model.runs.metrics import METRICS_SCHEMA, read_metrics
from hlx_model.training.settings import CODE_VERSION

NOT_STOPPED = "no"
"""The metadata `stopped` of a checkpoint whose training completed; else it is the reason of the stop."""

FIELDS = ("training_id", "size", "parameters", "epoch", "epochs", "step", "weights_sha256")
"""Fields of a checkpoint's manifest that its materialization shows."""


class TrainingConfig(dg.Config):
    """The settings of a training, each an option of `hlx train`; one that is not given comes from the profile."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    profile: str | None = None
    """quick or production. Default: $HLX_PROFILE, or quick."""
    size: str | None = None
    """tiny, 10m, 50m, 100m, 250m, 500m or 1b."""
    epochs: int | None = None
    """The last epoch to train."""
    tokens: int | None = None
    """Train for about so many tokens, in whole epochs, instead of `epochs`."""
    continue_from: str | None = None
    """A checkpoint of this phase to train longer, ID/NAME or its directory; with `tokens` or `epochs`."""
    lr: float | None = None
    """Peak learning rate."""
    batch_size: int | None = None
    """With seq_length, the most tokens of a batch."""
    seq_length: int | None = None
    """Most tokens of an example."""
    seed: int | None = None
    """Seed of fresh weights and of the order of the data."""
    replay: float | None = None
    """Share of tokens from each earlier phase."""
    document_weight: float | None = None
    """Least share of the tokens that is from your documents if composed entries lie beside them."""
    gradient_checkpointing: bool = False
    """Less memory for a third more computation."""
    accumulation: int = 1
    """Parts that a batch is computed in: less memory, the same result."""
    memory_limit: float | None = None
    """GiB that the training may use. Default: the free memory."""
    gate_every: int | None = None
    """Evaluate the gates every so many epochs too, beside the milestones; 0: never. Default: the profile's."""
    pass_on: str = "final"
    """final or best: the checkpoint that is evaluated, and that the next phase starts from."""
    retry_stopped: bool = False
    """Train again if a gate or an abort condition stopped a training with the same settings."""


def _checkpoint(phase: Phase) -> dg.AssetsDefinition:
    ins = {"corpus": dg.AssetIn(phase.corpus)}
    if before := PHASES.get(phase.number - 1):
        ins["parent"] = dg.AssetIn(before.checkpoint_asset)
        # Loading the report requires the verdict on the parent.
        ins["parent_report"] = dg.AssetIn(before.report_asset)

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
        config: TrainingConfig,
        trainer: dg.ResourceParam[TrainerClient],
        **inputs: Path,
    ) -> dg.MaterializeResult[Path]:
        training, settings = artifacts_at_home().training, dict(config)
        continued = settings.pop("continue_from")
        with user_errors():
            parent = inputs.get("parent") if continued is None else _of_phase(phase, continued, training)
        paths = {"corpus": inputs["corpus"], "resume_from": parent, "checkpoint_dir": training}
        result = trainer.train(context, {"phase": phase.number, **paths, **settings})
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
        **{name: getattr(manifest, name) for name in FIELDS},
        "best_held_out_loss": read_state(result.checkpoint).best_loss,
        "stopped": manifest.stopped or NOT_STOPPED,
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
