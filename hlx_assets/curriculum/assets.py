"""phase1_checkpoint → phase2_checkpoint → phase3_checkpoint: one factory, three phases."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import dagster as dg
from pydantic import Field

from hlx_assets.common import CURRICULUM_GROUP, OWNERS
from hlx_assets.curriculum.trainer import TrainerClient
from hlx_assets.io_manager import artifacts_at_home
from hlx_model.checkpoints.manifest import Manifest, read_manifest
from hlx_model.checkpoints.progress import read_state
from hlx_model.phases import CORPUS_OF_PHASE, PHASES
from hlx_model.provenance.tree import of_checkpoint, outline
from hlx_model.runs.metrics import METRICS_SCHEMA, read_metrics
from hlx_model.training.settings import CODE_VERSION

TRAINING_POOL = "training"
NOT_STOPPED = "no"
"""What a checkpoint's metadata says of a training that came to its end; else `stopped` is the reason."""
ABOUT = {
    1: "learns English, from fresh weights",
    2: "learns the four HLX formats, from phase 1's weights",
    3: "learns to translate between English and HLX, from phase 2's weights",
}


class TrainingConfig(dg.Config):
    """The settings of a training; what is not set comes from the profile."""

    profile: str | None = Field(default=None, description="quick or production. Default: $HLX_PROFILE, or quick.")
    size: str | None = Field(default=None, description="tiny, 10m, 50m, 100m, 250m, 500m or 1b.")
    epochs: int | None = Field(default=None, description="Epochs to train.")
    lr: float | None = Field(default=None, description="Peak learning rate.")
    batch_size: int | None = Field(default=None, description="With seq_length, bounds a batch in tokens.")
    seq_length: int | None = Field(default=None, description="Most tokens of an example.")
    seed: int | None = Field(default=None, description="Of fresh weights and of the order of the data.")
    replay: float | None = Field(default=None, description="Share of tokens taken again from each earlier phase.")
    gradient_checkpointing: bool = Field(default=False, description="Less memory for a third more computing.")
    accumulation: int = Field(default=1, description="Compute a batch in so many parts: less memory, the same result.")
    memory_limit: float | None = Field(default=None, description="GiB the training may take. Default: what is free.")
    retry_stopped: bool = Field(
        default=False,
        description="Train again what a gate or an abort condition stopped with the same settings.",
    )


def _phase(phase: int) -> dg.AssetsDefinition:
    ins = {"corpus": dg.AssetIn(CORPUS_OF_PHASE[phase])}
    if phase > 1:
        ins["parent"] = dg.AssetIn(f"phase{phase - 1}_checkpoint")
        # Loading the report is what asks for the verdict on the parent.
        ins["parent_report"] = dg.AssetIn(f"phase{phase - 1}_validation_report")

    @dg.asset(
        name=f"phase{phase}_checkpoint",
        ins=ins,
        group_name=CURRICULUM_GROUP,
        owners=OWNERS,
        kinds={"pytorch", "safetensors"},
        code_version=CODE_VERSION,
        pool=TRAINING_POOL,
        description=f"The model that {ABOUT[phase]}. Trained in a child process, resumed where it was killed; "
        "a training that a gate or an abort condition stopped is materialized too, with its reason.",
    )
    def checkpoint(
        context: dg.AssetExecutionContext,
        config: TrainingConfig,
        trainer: dg.ResourceParam[TrainerClient],
        **inputs: Path,
    ) -> dg.MaterializeResult[Path]:
        ended = trainer.train(context, {
            "phase": phase,
            "corpus": inputs["corpus"],
            "resume-from": inputs.get("parent"),
            "checkpoint-dir": artifacts_at_home().training,
            "profile": config.profile,
            "size": config.size,
            "epochs": config.epochs,
            "lr": config.lr,
            "batch-size": config.batch_size,
            "seq-length": config.seq_length,
            "seed": config.seed,
            "replay": config.replay,
            "gradient-checkpointing": config.gradient_checkpointing,
            "accumulation": config.accumulation,
            "memory-limit": config.memory_limit,
            "retry-stopped": config.retry_stopped,
        })  # fmt: skip
        manifest = read_manifest(ended.checkpoint)
        if ended.found:
            context.log.info(f"this training had ended before: {ended.checkpoint.name} is found, nothing was trained")
        if manifest.stopped:
            again = " (change a setting, or set retry_stopped, to train again)" if ended.found else ""
            context.log.error(f"the training was stopped{again}: {manifest.stopped}")
        return dg.MaterializeResult(
            value=ended.checkpoint,
            data_version=dg.DataVersion(manifest.weights_sha256),
            metadata=_metadata(ended.checkpoint, manifest, found=ended.found),
        )

    return checkpoint


def _metadata(checkpoint: Path, manifest: Manifest, *, found: bool) -> dict[str, Any]:
    state = read_state(checkpoint)
    curve = cast("list[Mapping[str, Any]]", read_metrics(checkpoint.parents[1]))
    kept = {name: version.data_version for name, version in manifest.corpora.items()}
    metadata: dict[str, Any] = {
        "checkpoint": checkpoint.name,
        "training_id": manifest.training_id,
        "size": manifest.size,
        "parameters": manifest.parameters,
        "epoch": manifest.epoch,
        "epochs": manifest.epochs,
        "step": manifest.step,
        "best_held_out_loss": state.best_loss,
        "stopped": manifest.stopped or NOT_STOPPED,
        "found": found,
        "weights_sha256": manifest.weights_sha256,
        "corpora": kept,
        "corpus": dg.MetadataValue.asset(dg.AssetKey(CORPUS_OF_PHASE[manifest.phase])),
        "report": dg.MetadataValue.asset(dg.AssetKey(f"phase{manifest.phase}_validation_report")),
        "card": dg.MetadataValue.asset(dg.AssetKey(f"phase{manifest.phase}_model_card")),
        "lineage": dg.MetadataValue.md(outline(of_checkpoint(checkpoint))),
        "settings": dict(manifest.settings),
        "loss_curve": dg.MetadataValue.table(
            [dg.TableRecord({k: "" if v is None else v for k, v in row.items()}) for row in curve],
            schema=dg.TableSchema([dg.TableColumn(name, "float") for name in METRICS_SCHEMA.names]),
        ),
    }
    if manifest.parent:
        metadata["parent"] = f"{manifest.parent.training_id}/{manifest.parent.name}"
    return {name: value for name, value in metadata.items() if value is not None}


assets = [_phase(phase) for phase in PHASES]
