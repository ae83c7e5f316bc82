"""Where hlx keeps things: the folders under one root of artifacts, and the names of the files in them.

    <root>/corpora/<asset>/<data version>/           a corpus, a document, or what models are evaluated on
    <root>/training/<training id>/                   a training, its checkpoints in checkpoints/<checkpoint>/
    <root>/reports/<training id>/<checkpoint>/       the report and the verdict on a checkpoint
    <root>/reports/corpora/<asset>/<data version>/   the verdict on a corpus
    <root>/cards/<training id>/<checkpoint>/         a model card
    <root>/baselines/<training id>/<checkpoint>/     what other models answer to the same rows

`<root>/training` may have another name (`hlx train --checkpoint-dir`); `corpora` and `reports` lie beside it. So the
path of a checkpoint is enough to find its corpora and its verdict.

`FOLDERS` declares every kind of folder once. A new file is added to its row: then no output of `hlx` overwrites it
(`outputs.py`), and `hlx clean` knows it (`cleanup/`).
"""

import os
import re
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

# A corpus. Assets: the document, the examples; those of the phases are in `phases.py`.
DOCUMENT, EXAMPLES = "corpus_document", "corpus_examples"
# What models are evaluated on, and never trained.
EVALUATION_DOCUMENT, EVALUATION = "evaluation_document", "evaluation_examples"
SOURCE, UNREADABLE = "source.json", "unreadable.json"
ROWS, QUARANTINE, DERIVED_FROM, DOCUMENTS = "rows.parquet", "quarantine.parquet", "derived.json", "documents.json"
PLACES = "places-{}.parquet"
"""Document and line of each row of a derived corpus, in the examples of that version; or of an evaluation, in the
documents of that version."""
TOKENS = "tokens-{}.bin"
"""The texts of a large corpus as token ids, with their SHA-256: made again if it is missing or damaged."""

# A training, and the folder of the trainings.
HEARTBEAT, METRICS, LOCK, CHECKPOINTS = "heartbeat.json", "metrics.parquet", "lock", "checkpoints"
MILESTONE_RESULTS, TRAINING_LOG, PASSED_ON = "milestones.json", "training.log", "passed_on.json"
OPINIONS = "opinions.jsonl"
TICK = "watchdog.json"

# A checkpoint.
MANIFEST, WEIGHTS, OPTIMIZER, STATE = "manifest.json", "model.safetensors", "optimizer.safetensors", "state.json"
SIGNATURE = "model.sig"

# A report on a checkpoint.
REPORT, VERDICT, PAGE = "report.json", "verdict.json", "report.html"
REPORT_MARKDOWN, LOSS_PLOT = "report.md", "loss.svg"

# What other models answer to the same rows.
BASELINES, BASELINES_SAMPLE = "baselines.json", "sample.jsonl"

# What a teacher wrote: assets, and their files beside ROWS and QUARANTINE.
TEACHER_REQUESTS, TEACHER_PROPOSALS, TEACHER_DOCUMENT = "teacher_requests", "teacher_proposals", "teacher_document"
QUESTIONS, TAUGHT, WRITTEN = "questions.json", "teacher.md", "written.json"

# An exported model.
CARD, CONFIG, VOCABULARY, PROVENANCE = "README.md", "config.json", "vocabulary.json", "provenance.json"
PT_WEIGHTS, ONNX_WEIGHTS = "model.pt", "model.onnx"

# Records in the root and in the folder of the trainings.
EVENTS, HISTORY, CORPUS_SETTING = "materializations.jsonl", "history.parquet", "corpus.json"
ALERTS_RECORD = "alerts.jsonl"
RECORDS = (EVENTS, HISTORY, TICK, CORPUS_SETTING, ALERTS_RECORD)

# Regular expressions of the names of folders.
TRAINING_ID, DATA_VERSION = "[0-9a-f]{16}", "[0-9a-f]{64}"
CHECKPOINT_NAME = r"phase\d+_(?:(?:(?:BEST|FINAL|STOPPED)_)?epoch|LAST_step)\d+"


@dataclass(frozen=True)
class FolderKind:
    """A kind of folder that hlx writes."""

    name: str
    """What messages call it, with its article."""
    parent: str
    """A glob pattern of the end of its parent's path; empty if the user chooses the path."""
    named: str
    """A regular expression of its name."""
    signs: tuple[str, ...]
    """Files that are typical of it: two of them identify a copy of it in any place. One alone does not: users have a
    report.json or a README.md of their own."""
    others: tuple[str, ...] = ()
    """Patterns of its other files and folders."""

    def has(self, name: str) -> bool:
        """Return whether hlx writes a file or folder of this name in such a folder."""
        return any(fnmatch(name, pattern) for pattern in (*self.signs, *self.others))

    def is_place(self, folder: Path) -> bool:
        """Return whether hlx puts folders of this kind at this path."""
        return self.parent != "" and bool(re.fullmatch(self.named, folder.name)) and folder.parent.match(self.parent)

    def describes(self, folder: Path) -> bool:
        """Return whether a folder is of this kind: by one of its files in its place, by two of its signs elsewhere."""
        if self.is_place(folder) and folder.is_dir() and any(self.has(path.name) for path in folder.iterdir()):
            return True
        return sum((folder / sign).exists() for sign in self.signs) > 1

    def find(self, root: Path) -> list[Path]:
        """Return the folders in the place of this kind under a root of artifacts, by path."""
        found = root.glob(f"{self.parent}/*") if self.parent else ()
        return sorted(path for path in found if self.is_place(path) and path.is_dir())


TRAINING_FOLDER = FolderKind(
    "a training",
    "*",
    TRAINING_ID,
    (HEARTBEAT, METRICS, LOCK),
    (MILESTONE_RESULTS, TRAINING_LOG, PASSED_ON, OPINIONS, CHECKPOINTS, "stopped-*"),
)
CHECKPOINT_FOLDER = FolderKind(
    "a checkpoint", f"*/{CHECKPOINTS}", CHECKPOINT_NAME, (MANIFEST, WEIGHTS, OPTIMIZER), (STATE, SIGNATURE)
)
REPORT_FOLDER = FolderKind(
    "a report", "reports/*", CHECKPOINT_NAME, (REPORT, VERDICT), (PAGE, REPORT_MARKDOWN, LOSS_PLOT)
)
# A copy of it has the signs of a report.
CORPUS_REPORT_FOLDER = FolderKind("a report on a corpus", "reports/corpora/*", DATA_VERSION, (), (REPORT, VERDICT))
CARD_FOLDER = FolderKind("a model card", "cards/*", CHECKPOINT_NAME, (CARD,))
BASELINES_FOLDER = FolderKind(
    "a comparison with other models", "baselines/*", CHECKPOINT_NAME, (BASELINES, BASELINES_SAMPLE)
)
CORPUS_FOLDER = FolderKind(
    "a kept corpus", "corpora/*", DATA_VERSION, (ROWS, QUARANTINE, DERIVED_FROM, DOCUMENTS),
    ("documents-*.json", "places-*.parquet", "tokens-*.bin", QUESTIONS),
)  # fmt: skip
DOCUMENT_FOLDER = FolderKind(
    "a kept document", "corpora/*_document", DATA_VERSION, (SOURCE, "document.md"),
    ("source-*.json", "document-*.md", UNREADABLE, TAUGHT, WRITTEN, QUARANTINE),
)  # fmt: skip
EXPORT_FOLDER = FolderKind(
    "an exported model", "", "",
    (MANIFEST, VOCABULARY, PROVENANCE),
    (WEIGHTS, PT_WEIGHTS, ONNX_WEIGHTS, CARD, CONFIG, REPORT, VERDICT, SIGNATURE),
)  # fmt: skip
FOLDERS = (
    EXPORT_FOLDER, CHECKPOINT_FOLDER, REPORT_FOLDER, CORPUS_REPORT_FOLDER, CARD_FOLDER, BASELINES_FOLDER,
    DOCUMENT_FOLDER, CORPUS_FOLDER, TRAINING_FOLDER,
)  # fmt: skip


@dataclass(frozen=True)
class Artifacts:
    """One root of artifacts, known by the folder that contains its trainings."""

    training: Path

    @classmethod
    def at(cls, root: Path) -> "Artifacts":
        """Return the artifacts under `root` whose trainings are in `root/training`."""
        return cls(root / "training")

    @classmethod
    def of_checkpoint(cls, checkpoint: Path) -> "Artifacts":
        """Return the artifacts that a checkpoint `…/<training id>/checkpoints/<name>` belongs to."""
        return cls(training_of(checkpoint).parent)

    @property
    def root(self) -> Path:
        """The folder that contains trainings, corpora and reports."""
        return self.training.absolute().parent

    def corpus(self, asset: str, data_version: str) -> Path:
        """Return the folder of a version of a corpus."""
        return self.root / "corpora" / asset / data_version

    def corpus_report(self, asset: str, data_version: str) -> Path:
        """Return the folder of the verdict on a version of a corpus."""
        return self.root / "reports" / "corpora" / asset / data_version

    def report(self, checkpoint: Path) -> Path:
        """Return the folder of the report and the verdict on a checkpoint."""
        return self._beside("reports", checkpoint)

    def card(self, checkpoint: Path) -> Path:
        """Return the file of a checkpoint's model card; not among its reports, which the verdict has sealed."""
        return self._beside("cards", checkpoint) / CARD

    def baselines(self, checkpoint: Path) -> Path:
        """Return the folder of what other models answer to the rows that a checkpoint was evaluated on."""
        return self._beside("baselines", checkpoint)

    def _beside(self, folder: str, checkpoint: Path) -> Path:
        return self.root / folder / training_of(checkpoint).name / checkpoint.name


def training_of(checkpoint: Path) -> Path:
    """Return the directory of the training that a checkpoint lies in; `/` if it was copied to a place near the root."""
    return checkpoint.absolute().parent.parent


def dagster_home() -> Path | None:
    """Return `$DAGSTER_HOME`; None if it is not set.

    Raises:
        ValueError: it is no absolute path. Dagster refuses that too.
    """
    home = os.environ.get("DAGSTER_HOME", "")
    if home and not Path(home).is_absolute():
        raise ValueError(f"DAGSTER_HOME is {home!r}: it must be an absolute path")
    return Path(home) if home else None


def default_home() -> Path:
    """Return `$DAGSTER_HOME`, or `dagster_home` in the current directory. It need not exist.

    `ValueError` as for `dagster_home`.
    """
    return dagster_home() or Path("dagster_home").absolute()


def default_training() -> Path:
    """Return the folder of the trainings of `default_home`. It need not exist; `ValueError` as there."""
    return Artifacts.at(default_home() / "artifacts").training


def missing_training(training: Path) -> str:
    """Return that the folder of the trainings does not exist and what to do, as one line."""
    name = "name the folder of the trainings with --checkpoint-dir"
    advice = f"{name}, set DAGSTER_HOME, or run hlx in the project's folder"
    return f"{training.absolute()}: no such folder, so nothing was trained here: {advice}"
