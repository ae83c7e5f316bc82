"""Evaluate a `.pt` file of weights that another program trained, on corpora that are named with it.

Such a file records nothing of its training. The gates on the record warn that it is missing; all others require of it
what they require of a checkpoint of hlx. Held-out is what this program holds out of the corpus, whatever the model was
trained on.
"""

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from hlx_model.checkpoints import pt_import
from hlx_model.corpus import CorpusError, store
from hlx_model.corpus.build import build
from hlx_model.corpus.document import DEFAULT_SEQ_LENGTH
from hlx_model.corpus.verdict import require_built_passed, require_corpus_passed
from hlx_model.evaluation.documents import NO_EVALUATION, named_for
from hlx_model.evaluation.evaluate import EvaluationResult, evaluate_model
from hlx_model.evaluation.fitness import Requirements
from hlx_model.evaluation.target import EvaluationTarget
from hlx_model.layout import ROWS, Artifacts
from hlx_model.outputs import require_output
from hlx_model.phases import PHASES, require_phase

log = logging.getLogger(__name__)


def report_beside(path: Path) -> Path:
    """Return the folder of the report on a `.pt` file: `<stem>.report` beside it."""
    return path.with_suffix(".report")


def evaluate_pt_file(
    path: Path, corpus: Sequence[Path], phase: int, *, heads: int | None = None, device: str = "cpu",
    documents: Sequence[Path] = (), requirements: Requirements | None = None,
) -> EvaluationResult:  # fmt: skip
    """Evaluate the model in a `.pt` file on the gates of a phase; write the report into `<stem>.report` beside it.

    Args:
        path: the file.
        corpus: documents, or the directory of a kept corpus of that phase.
        phase: the number of a phase.
        heads: attention heads, if the size table does not have them.
        device: what to compute on.
        documents: evaluation documents; by default those of `HLX_EVAL`.
        requirements: the limits of the gates; by default those of `HLX_PROFILE`.

    Raises:
        ValueError: the file (`CheckpointError`), the corpus (`CorpusError`) or the phase cannot be used.
    """
    asset = require_phase(phase).corpus
    advice = f"copy {path.name} into another folder, and validate the copy"
    report = require_output(report_beside(path), inputs=corpus, advice=advice)
    if report.exists() and not report.is_dir():
        raise ValueError(f"{report}: a file, and the report on {path.name} needs a folder of that name: move it")
    imported = pt_import.load_pt(path, heads)
    version, rows = _corpus(corpus, phase, asset)
    target = EvaluationTarget(path.name, phase, imported.size, imported.sha256, {asset: version})
    translates = PHASES[phase].writes == "translations"
    evaluation = named_for(documents, ()) if translates else NO_EVALUATION
    return evaluate_model(
        target, imported.model.to(device), {asset: rows}, report, evaluation=evaluation, requirements=requirements
    )


def _corpus(corpus: Sequence[Path], phase: int, asset: str) -> tuple[str, pa.Table]:
    """Return the data version and the rows of the corpus of `phase`."""
    named = ", ".join(map(str, corpus))
    if len(corpus) == 1 and (corpus[0] / ROWS).exists():
        directory = corpus[0].absolute()
        if directory.parent.name != asset:
            raise CorpusError(f"{named}: phase {phase} is evaluated on {asset}, not on {directory.parent.name}")
        require_corpus_passed(directory)
        return directory.name, store.load(directory)
    with tempfile.TemporaryDirectory() as root:
        built = build(corpus, Artifacts.at(Path(root)), seq_length=DEFAULT_SEQ_LENGTH)
        found = require_built_passed(built, asset)
    if quarantined := len(built.collection.quarantined):
        log.warning("%s: %s entries are in quarantine; `hlx corpus check` lists them", named, quarantined)
    return found.version, store.load(found)
