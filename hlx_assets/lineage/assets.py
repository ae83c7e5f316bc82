"""phaseN_model_card describes a final model; training_history is a table of all trainings."""

from pathlib import Path

import dagster as dg

from hlx_assets.common import LINEAGE_GROUP, OWNERS, markdown_metadata, table_metadata, user_errors
from hlx_assets.io_manager import artifacts_at_home
from hlx_model.files import digest_of, sha256_of
from hlx_model.history import write_history
from hlx_model.layout import HISTORY
from hlx_model.phases import PHASES, Phase
from hlx_model.release.card import write_card

ROWS = 50
"""Trainings in the table that the UI shows, the newest first; the Parquet file contains all."""
COLUMNS = (
    "training_id", "phase", "size", "status", "ended", "held_out_loss", "verdict", "grade", "exact_match_to_hlx",
    "exact_match_to_english",
)  # fmt: skip


def _card(phase: Phase) -> dg.AssetsDefinition:
    @dg.asset(
        name=phase.card_asset,
        # Loading the report requires that its verdict passed.
        ins={"checkpoint": dg.AssetIn(phase.checkpoint_asset), "report": dg.AssetIn(phase.report_asset)},
        group_name=LINEAGE_GROUP,
        owners=OWNERS,
        kinds={"markdown"},
        code_version="1",
        description=f"What phase {phase.number}'s model can do, what it was made from, how to use it, its limits.",
    )
    def model_card(checkpoint: Path, report: Path) -> dg.MaterializeResult[Path]:
        with user_errors():
            path = write_card(checkpoint)
        return dg.MaterializeResult(
            value=path.parent,
            data_version=dg.DataVersion(sha256_of(path)),
            metadata={
                "card": markdown_metadata(path.read_text(encoding="utf-8"), path),
                "checkpoint": dg.MetadataValue.asset(dg.AssetKey(phase.checkpoint_asset)),
                "report": dg.MetadataValue.asset(dg.AssetKey(phase.report_asset)),
            },
        )

    return model_card


@dg.asset(
    deps=[dg.AssetDep(phase.report_asset) for phase in PHASES.values()],
    group_name=LINEAGE_GROUP,
    owners=OWNERS,
    kinds={"parquet"},
    code_version="1",
)
def training_history() -> dg.MaterializeResult[None]:
    """Write history.parquet: all trainings, with settings, figures and verdicts; `hlx history` in the terminal."""
    artifacts = artifacts_at_home()
    rows = [row.to_json() for row in reversed(write_history(artifacts))]
    return dg.MaterializeResult(
        data_version=dg.DataVersion(digest_of(rows)),
        metadata={
            "trainings": len(rows),
            "table": dg.MetadataValue.path(artifacts.root / HISTORY),
            "history": table_metadata(rows[:ROWS], COLUMNS, of="string"),
        },
    )


assets = [*(_card(phase) for phase in PHASES.values()), training_history]
