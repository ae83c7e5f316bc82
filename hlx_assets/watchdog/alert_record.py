"""The alerts on record: `<root>/alerts.jsonl`, one line each.

    {"time": 1796073000.5, "subject": "phase1_checkpoint", "problem": "…", "run_id": "…", "training_id": "…"}

An alert is on record although no address received it.
"""

import json
from contextlib import suppress
from pathlib import Path

from hlx_model.files import append_line, write_lines
from hlx_model.json_model import JsonModel
from hlx_model.layout import ALERTS_RECORD

KEPT, MOST = 1_000, 2_000
"""So many are kept when the file has the most that it may have."""


class RecordedAlert(JsonModel):
    """An alert that was sent."""

    time: float
    """Unix seconds."""
    subject: str
    problem: str | None
    """None: the subject has recovered."""
    run_id: str | None
    training_id: str | None


def record_alert(root: Path, alert: RecordedAlert) -> None:
    """Append an alert to the record under a root of artifacts, and shorten it if it has become long."""
    path = root / ALERTS_RECORD
    append_line(path, json.dumps(alert.to_json(), ensure_ascii=False))
    if len(lines := _lines(path)) >= MOST:
        write_lines(path, (f"{line}\n" for line in lines[-KEPT:]))


def recorded_alerts(root: Path, limit: int) -> list[RecordedAlert]:
    """Return the last alerts under a root of artifacts, the newest first; a line that cannot be read is skipped."""
    found: list[RecordedAlert] = []
    for line in reversed(_lines(root / ALERTS_RECORD)):
        if len(found) >= limit:
            break
        with suppress(ValueError, TypeError, RecursionError):
            found.append(RecordedAlert.from_json(json.loads(line)))
    return found


def _lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    return [line for line in path.read_text(encoding="utf-8", errors="replace").split("\n") if line.strip()]
