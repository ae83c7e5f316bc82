"""Judge a checkpoint of the users': a `.pt` file, on corpora that are named with it.

Such a file records nothing of its training: the gates that ask the record warn that it is not there, and
held-out is what this program holds out of the corpus, whatever the model was trained on.
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
from hlx_model.evaluation.evaluate import EvaluationResult, evaluate_model
from hlx_model.evaluation.target import EvaluationTarget
from hlx_model.layout import ROWS, Artifacts
from hlx_model.outputs import require_output
from hlx_model.phases import CORPUS_OF_PHASE
from hlx_model.verdicts import GateResult

log = logging.getLogger(__name__)

_RECORDED = (
    GateResult(
        "training_completed",
        "warn",
        "not recorded: the file does not say whether its training came to its end, nor which rows it has seen, so that "
        "what is held out here may have been trained on",
    ),
    GateResult("lineage", "warn", "not recorded: the file does not say what it was made from"),
)


def report_beside(path: Path) -> Path:
    """Return the folder of the report on a `.pt` file: `<stem>.report` beside it."""
    return path.with_suffix(".report")


def evaluate_pt_file(
    path: Path, corpus: Sequence[Path], phase: int, *, heads: int | None = None, device: str = "cpu"
) -> EvaluationResult:
    """Ask the model in a `.pt` file what a phase is asked, and write report and verdict into `<stem>.report` beside it.

    Args:
        path: the file.
        corpus: documents, or the directory of a kept corpus of that phase.
        phase: 1, 2 or 3.
        heads: attention heads, where the size table does not tell them.
        device: what to compute on.

    Raises:
        ValueError: the file (`CheckpointError`), the corpus (`CorpusError`) or the phase is not usable.
    """
    if phase not in CORPUS_OF_PHASE:
        raise ValueError(f"phase is {phase}: it must be 1, 2 or 3")
    report = require_output(
        report_beside(path), inputs=corpus, advice=f"copy {path.name} into another folder, and validate the copy"
    )
    if report.exists() and not report.is_dir():
        raise ValueError(
            f"{report}: a file, and the report on {path.name} is written into a folder of that name: move it"
        )
    found = pt_import.load_pt(path, heads)
    asset = CORPUS_OF_PHASE[phase]
    version, rows = _corpus(corpus, phase)
    subject = EvaluationTarget(path.name, phase, found.size, found.sha256, {asset: version}, _RECORDED)
    return evaluate_model(subject, found.model.to(device), {asset: rows}, report)


def _corpus(corpus: Sequence[Path], phase: int) -> tuple[str, pa.Table]:
    """Return the data version and the rows of the corpus of `phase`."""
    asset, named = CORPUS_OF_PHASE[phase], ", ".join(map(str, corpus))
    if len(corpus) == 1 and (corpus[0] / ROWS).exists():
        directory = corpus[0].absolute()
        if directory.parent.name != asset:
            raise CorpusError(f"{named}: phase {phase} is judged on {asset}, not on {directory.parent.name}")
        require_corpus_passed(directory)
        return directory.name, store.load(directory)
    with tempfile.TemporaryDirectory() as root:
        built = build(corpus, Artifacts.at(Path(root)), seq_length=DEFAULT_SEQ_LENGTH)
        found = require_built_passed(built, asset)
    if quarantined := len(built.collection.quarantined):
        log.warning("%s: %s entries are in quarantine; `hlx corpus check` lists them", named, quarantined)
    return found.version, store.load(found)
