"""phaseN_model_card describes a final model; training_history is a table of all trainings."""

from pathlib import Path

import dagster as dg

from hlx_assets.common import LINEAGE_GROUP, OWNERS, user_errors
from hlx_assets.io_manager import artifacts_at_home
from hlx_model.files import digest_of, sha256_of
from hlx_model.history import TrainingRow, write_history
from hlx_model.layout import HISTORY
from hlx_model.phases import PHASES
from hlx_model.release.card import write_card

ROWS = 50
"""Trainings in the table that the UI shows, the newest first; the Parquet file contains all."""
COLUMNS = (
    "training_id", "phase", "size", "status", "ended", "held_out_loss", "verdict", "grade", "exact_match_to_hlx",
    "exact_match_to_english",
)  # fmt: skip


def _card(phase: int) -> dg.AssetsDefinition:
    @dg.asset(
        name=f"phase{phase}_model_card",
        ins={
            "checkpoint": dg.AssetIn(f"phase{phase}_checkpoint"),
            # Loading the report requires that its verdict passed.
            "report": dg.AssetIn(f"phase{phase}_validation_report"),
        },
        group_name=LINEAGE_GROUP,
        owners=OWNERS,
        kinds={"markdown"},
        code_version="1",
        description=f"What phase {phase}'s model can do, what it was made from, how to use it, its limits.",
    )
    def model_card(checkpoint: Path, report: Path) -> dg.MaterializeResult[Path]:
        with user_errors():
            path = write_card(checkpoint)
        return dg.MaterializeResult(
            value=path.parent,
            data_version=dg.DataVersion(sha256_of(path)),
            metadata={
                "card": dg.MetadataValue.md(path.read_text(encoding="utf-8")),
                "checkpoint": dg.MetadataValue.asset(dg.AssetKey(f"phase{phase}_checkpoint")),
                "report": dg.MetadataValue.asset(dg.AssetKey(f"phase{phase}_validation_report")),
            },
        )

    return model_card


@dg.asset(
    deps=[dg.AssetDep(f"phase{phase}_validation_report") for phase in PHASES],
    group_name=LINEAGE_GROUP,
    owners=OWNERS,
    kinds={"parquet"},
    code_version="1",
    description="All trainings, with settings, figures and verdicts: `hlx history` in the terminal.",
)
def training_history() -> dg.MaterializeResult[None]:
    """Write history.parquet from the files of every training."""
    artifacts = artifacts_at_home()
    rows = write_history(artifacts)[::-1]
    return dg.MaterializeResult(
        data_version=dg.DataVersion(digest_of([row.to_json() for row in rows])),
        metadata={
            "trainings": len(rows),
            "table": dg.MetadataValue.path(artifacts.root / HISTORY),
            "history": dg.MetadataValue.table([_record(row) for row in rows[:ROWS]], schema=_SCHEMA),
        },
    )


_SCHEMA = dg.TableSchema([dg.TableColumn(name, "string") for name in COLUMNS])


def _record(row: TrainingRow) -> dg.TableRecord:
    values = {name: getattr(row, name) for name in COLUMNS}
    return dg.TableRecord({name: "" if value is None else str(value) for name, value in values.items()})


cards = [_card(phase) for phase in PHASES]
assets = [*cards, training_history]
