"""phase1_checkpoint → phase2_checkpoint → phase3_checkpoint: one factory for the three phases."""

from pathlib import Path
from typing import Any

import dagster as dg

from hlx_assets.common import CURRICULUM_GROUP, OWNERS, TRAINING_POOL, table_metadata, user_errors
from hlx_assets.curriculum.outcome import NOT_STOPPED, STATUS, STOPPED
from hlx_assets.curriculum.parent import start_of
from hlx_assets.curriculum.settings import config_of, given, launcher_named, named, profile_named
from hlx_assets.curriculum.trainer import TrainerClient
from hlx_assets.io_manager import artifacts_at_home
from hlx_model.checkpoints.progress import read_state
from hlx_model.phases import PHASES, Phase
from hlx_model.provenance.tree import of_checkpoint, outline
from hlx_model.runs.directory import TrainingResult
from hlx_model.runs.metrics import METRICS_SCHEMA, read_metrics
from hlx_model.training.settings import CODE_VERSION

FIELDS = ("training_id", "size", "parameters", "epoch", "epochs", "step", "weights_sha256")
"""Fields of a checkpoint's manifest that its materialization shows."""


def _checkpoint(phase: Phase) -> dg.AssetsDefinition:
    before = PHASES.get(phase.number - 1)
    # A class that is made here is no type to mypy.
    Config: Any = config_of(phase)

    @dg.asset(
        name=phase.checkpoint_asset,
        ins={"corpus": dg.AssetIn(phase.corpus)},
        # Not loaded: the parent need not be the latest one. `start_of` applies the guard to the one that is used.
        deps=[before.checkpoint_asset, before.report_asset] if before else [],
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
        config: Config,
        trainer: dg.ResourceParam[TrainerClient],
        corpus: Path,
    ) -> dg.MaterializeResult[Path]:
        training, settings = artifacts_at_home().training, given(phase, config, named(context.run, phase))
        chosen = {"parent": settings.pop("parent", None), "continue_from": settings.pop("continue_from")}
        with user_errors():
            size = settings["size"] or profile_named(config).size
            launcher = launcher_named(settings.pop("trainer"))
            launcher.require()
        start = start_of(context, phase, size, **chosen)
        paths = {"corpus": corpus, "resume_from": start, "checkpoint_dir": training}
        with user_errors():  # the launcher's
            result = trainer.train(context, {"phase": phase.number, "yes": True, **paths, **settings}, launcher)
        if result.found:
            context.log.info(f"nothing was trained: this training ended before, with {result.checkpoint.name}")
        if result.manifest.stopped:
            again = " (change a setting, or set retry_stopped, to train again)" if result.found else ""
            context.log.error(f"the training was stopped{again}: {result.manifest.stopped}")
        return _materialized(phase, result)

    return checkpoint


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
        STATUS: manifest.end_status,
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
