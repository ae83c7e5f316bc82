"""Where things are kept: the folders under one root of artifacts, and the names of the files in them.

    <root>/corpora/<asset>/<data version>/        document.md or rows.parquet, quarantine.parquet
    <root>/training/<training id>/                heartbeat.json, metrics.parquet, checkpoints/
    <root>/reports/<training id>/<checkpoint>/    report.json, report.html, report.md, verdict.json, loss.svg
    <root>/cards/<training id>/<checkpoint>/      README.md

`<root>/training` may have another name (`hlx train --checkpoint-dir`); `corpora` and `reports` lie beside it. So a
checkpoint finds its corpora and its verdict from its own path alone.
"""

import os
from dataclasses import dataclass
from pathlib import Path

# A corpus. Assets: the document, the examples; those of the phases are in `phases.py`.
DOCUMENT, EXAMPLES = "corpus_document", "corpus_examples"
SOURCE = "source.json"
ROWS, QUARANTINE, DERIVED_FROM, DOCUMENTS = "rows.parquet", "quarantine.parquet", "derived.json", "documents.json"

# A training, and the folder of the trainings.
HEARTBEAT, METRICS, LOCK, CHECKPOINTS = "heartbeat.json", "metrics.parquet", "lock", "checkpoints"
TICK = "watchdog.json"

# A checkpoint.
MANIFEST, WEIGHTS, OPTIMIZER, STATE = "manifest.json", "model.safetensors", "optimizer.safetensors", "state.json"
SIGNATURE = "model.sig"

# A report on a checkpoint.
REPORT, VERDICT, PAGE, REPORT_MARKDOWN, LOSS_PLOT = (
    "report.json", "verdict.json", "report.html", "report.md", "loss.svg",
)  # fmt: skip

# An exported model.
CARD, CONFIG, VOCABULARY, PROVENANCE = "README.md", "config.json", "vocabulary.json", "provenance.json"

# Records beside all of them.
EVENTS, HISTORY = "materializations.jsonl", "history.parquet"


@dataclass(frozen=True)
class Artifacts:
    """One root of artifacts, known by the folder that holds its trainings."""

    training: Path

    @classmethod
    def at(cls, root: Path) -> "Artifacts":
        """The artifacts under `root`, its trainings in `root/training`."""
        return cls(root / "training")

    @classmethod
    def of_checkpoint(cls, checkpoint: Path) -> "Artifacts":
        """The artifacts that a checkpoint `…/<training id>/checkpoints/<name>` belongs to."""
        return cls(checkpoint.absolute().parent.parent.parent)

    @property
    def root(self) -> Path:
        """The folder that holds trainings, corpora and reports."""
        return self.training.absolute().parent

    def corpus(self, asset: str, data_version: str) -> Path:
        """Where a version of a corpus is kept."""
        return self.root / "corpora" / asset / data_version

    def report(self, checkpoint: Path) -> Path:
        """Where the report and the verdict on a checkpoint are kept."""
        checkpoint = checkpoint.absolute()
        return self.root / "reports" / checkpoint.parent.parent.name / checkpoint.name

    def card(self, checkpoint: Path) -> Path:
        """The file of a checkpoint's model card; not among its reports, which the verdict has sealed."""
        checkpoint = checkpoint.absolute()
        return self.root / "cards" / checkpoint.parent.parent.name / checkpoint.name / CARD


def default_training() -> Path:
    """The folder of the trainings of `$DAGSTER_HOME`; without it, of `dagster_home` in the current directory."""
    return Path(os.environ.get("DAGSTER_HOME") or "dagster_home") / "artifacts" / "training"
