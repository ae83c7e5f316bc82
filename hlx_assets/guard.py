"""The guard: an asset gets no input that did not pass its gates, no matter how a run was started.

The truth about a gate is the verdict file beside the reports, which the checks in the UI mirror.
"""

from collections.abc import Callable
from pathlib import Path

from hlx_assets.common import user_errors
from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.corpus.verdict import GATES_OF_CORPUS, require_corpus_passed
from hlx_model.evaluation.integrity import require_intact
from hlx_model.evaluation.verdict import require_passed
from hlx_model.phases import PHASES

CHECKPOINTS = {phase.checkpoint_asset: phase.report_asset for phase in PHASES.values()}
"""The report on each checkpoint asset."""
REPORTS = {report: checkpoint for checkpoint, report in CHECKPOINTS.items()}
GATED = frozenset({*GATES_OF_CORPUS, *CHECKPOINTS, *REPORTS})
"""The assets that have gates."""


def require_gates(asset: str, path: Path, latest: Callable[[str], Path]) -> None:
    """Require that what an asset was last materialized to may be built on.

    Args:
        asset: its name.
        path: its directory.
        latest: returns the directory of another asset's latest materialization.

    Raises:
        dg.Failure: a gate failed; the message names it with its figure.
    """
    with user_errors():
        if asset in GATES_OF_CORPUS:
            require_corpus_passed(path)
        elif asset in CHECKPOINTS:
            require_intact(path)
        elif asset in REPORTS:
            require_passed(verify_checkpoint(latest(REPORTS[asset])))
