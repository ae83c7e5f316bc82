"""phase1_checkpoint → phase2_checkpoint → phase3_checkpoint: one factory for the three phases."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import dagster as dg
from pydantic import Field

from hlx_assets.common import CURRICULUM_GROUP, OWNERS
from hlx_assets.curriculum.trainer import TrainerClient, TrainerResult
from hlx_assets.io_manager import artifacts_at_home
from hlx_model.checkpoints.manifest import Manifest, read_manifest
from hlx_model.checkpoints.progress import read_state
from hlx_model.phases import PHASES, Phase
from hlx_model.provenance.tree import of_checkpoint, outline
from hlx_model.runs.metrics import METRICS_SCHEMA, MetricsRow, read_metrics
from hlx_model.training.settings import CODE_VERSION

TRAINING_POOL = "training"
NOT_STOPPED = "no"
"""The metadata `stopped` of a checkpoint whose training completed; else it is the reason of the stop."""


class TrainingConfig(dg.Config):
    """The settings of a training; a setting that is not given comes from the profile."""

    profile: str | None = Field(default=None, description="quick or production. Default: $HLX_PROFILE, or quick.")
    size: str | None = Field(default=None, description="tiny, 10m, 50m, 100m, 250m, 500m or 1b.")
    epochs: int | None = Field(default=None, description="Epochs to train.")
    lr: float | None = Field(default=None, description="Peak learning rate.")
    batch_size: int | None = Field(default=None, description="With seq_length, the most tokens of a batch.")
    seq_length: int | None = Field(default=None, description="Most tokens of an example.")
    seed: int | None = Field(default=None, description="Seed of fresh weights and of the order of the data.")
    replay: float | None = Field(default=None, description="Share of tokens from each earlier phase.")
    gradient_checkpointing: bool = Field(default=False, description="Less memory for a third more computation.")
    accumulation: int = Field(default=1, description="Parts that a batch is computed in: less memory, the same result.")
    memory_limit: float | None = Field(
        default=None, description="GiB that the training may use. Default: the free memory."
    )
    retry_stopped: bool = Field(
        default=False,
        description="Train again if a gate or an abort condition stopped a training with the same settings.",
    )


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
        pool=TRAINING_POOL,
        description=f"The model that {phase.learns}. It is trained in a child process and resumes after a kill. A "
        "training that a gate or an abort condition stopped is materialized too, with its reason.",
    )
    def checkpoint(
        context: dg.AssetExecutionContext,
        config: TrainingConfig,
        trainer: dg.ResourceParam[TrainerClient],
        **inputs: Path,
    ) -> dg.MaterializeResult[Path]:
        result = trainer.train(context, {
            "phase": phase.number,
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
        manifest = read_manifest(result.checkpoint)
        if result.found:
            context.log.info(f"nothing was trained: this training ended before, with {result.checkpoint.name}")
        if manifest.stopped:
            again = " (change a setting, or set retry_stopped, to train again)" if result.found else ""
            context.log.error(f"the training was stopped{again}: {manifest.stopped}")
        return _materialized(phase, manifest, result)

    return checkpoint


def _record(row: MetricsRow) -> dg.TableRecord:
    values = cast("Mapping[str, float | None]", row)
    return dg.TableRecord({name: "" if value is None else value for name, value in values.items()})


def _materialized(phase: Phase, manifest: Manifest, result: TrainerResult) -> dg.MaterializeResult[Path]:
    """Return the materialization of a checkpoint, with what the UI shows of it."""
    best, parent = read_state(result.checkpoint).best_loss, manifest.parent
    curve = read_metrics(result.checkpoint.parents[1])
    return dg.MaterializeResult(
        value=result.checkpoint,
        data_version=dg.DataVersion(manifest.weights_sha256),
        metadata={
            "checkpoint": result.checkpoint.name,
            "training_id": manifest.training_id,
            "size": manifest.size,
            "parameters": manifest.parameters,
            "epoch": manifest.epoch,
            "epochs": manifest.epochs,
            "step": manifest.step,
            **({} if best is None else {"best_held_out_loss": best}),
            "stopped": manifest.stopped or NOT_STOPPED,
            "found": result.found,
            "weights_sha256": manifest.weights_sha256,
            "corpora": {name: version.data_version for name, version in manifest.corpora.items()},
            "corpus": dg.MetadataValue.asset(dg.AssetKey(phase.corpus)),
            "report": dg.MetadataValue.asset(dg.AssetKey(phase.report_asset)),
            "card": dg.MetadataValue.asset(dg.AssetKey(phase.card_asset)),
            "lineage": dg.MetadataValue.md(outline(of_checkpoint(result.checkpoint))),
            "settings": dict(manifest.settings),
            "loss_curve": dg.MetadataValue.table(
                [_record(row) for row in curve],
                schema=dg.TableSchema([dg.TableColumn(name, "float") for name in METRICS_SCHEMA.names]),
            ),
            **({"parent": f"{parent.training_id}/{parent.name}"} if parent else {}),
        },
    )


assets = [_checkpoint(phase) for phase in PHASES.values()]
