"""phaseN_model_card: what a final model is; training_history: all that was ever trained, as a table."""

from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq

from hlx_assets.common import LINEAGE_GROUP, OWNERS, user_errors
from hlx_assets.io_manager import artifacts_at_home
from hlx_model.files import digest_of, named_specials, sha256_of
from hlx_model.history import newest_first, write_history
from hlx_model.profiles import PHASES
from hlx_model.release.card import write_card

SHOWN = 50
"""Trainings in the table that the UI shows; the Parquet file has all."""
COLUMNS = (
    "training_id", "phase", "size", "status", "ended", "held_out_loss", "verdict", "grade", "exact_match_to_hlx",
    "exact_match_to_english",
)  # fmt: skip


def _card(phase: int) -> dg.AssetsDefinition:
    @dg.asset(
        name=f"phase{phase}_model_card",
        ins={
            "checkpoint": dg.AssetIn(f"phase{phase}_checkpoint"),
            # Loading the report is what asks for the verdict.
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
    description="All trainings there are, with settings, figures and verdicts: `hlx history` in the terminal.",
)
def training_history() -> dg.MaterializeResult[None]:
    """Read every training again, and write the table."""
    path = write_history(artifacts_at_home())
    rows = named_specials(newest_first(pq.read_table(path)))
    return dg.MaterializeResult(
        data_version=dg.DataVersion(digest_of(rows)),
        metadata={
            "trainings": len(rows),
            "table": dg.MetadataValue.path(path),
            "history": dg.MetadataValue.table([_record(row) for row in rows[:SHOWN]], schema=_SCHEMA),
        },
    )


_SCHEMA = dg.TableSchema([dg.TableColumn(name, "string") for name in COLUMNS])


def _record(row: dict[str, Any]) -> dg.TableRecord:
    return dg.TableRecord({name: "" if row[name] is None else str(row[name]) for name in COLUMNS})


cards = [_card(phase) for phase in PHASES]
assets = [*cards, training_history]
