"""Which asset was made when, by which run: a line each, appended beside the artifacts, for those without Dagster.

`<root>/materializations.jsonl`: `{"asset": …, "artifact": "corpora/hlx_corpus/1f…", "run_id": …, "time": …}`.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from hlx_model.layout import EVENTS


@dataclass(frozen=True)
class Event:
    """An asset was materialized."""

    asset: str
    artifact: str
    """Its directory, relative to the root of the artifacts."""
    run_id: str
    time: str
    """UTC, ISO 8601."""


def record_event(root: Path, event: Event) -> None:
    """Append an event; a line is written whole or, by a power cut, not at all or cut short."""
    root.mkdir(parents=True, exist_ok=True)
    line = json.dumps(asdict(event), ensure_ascii=False) + "\n"
    descriptor = os.open(root / EVENTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def read_events(root: Path) -> list[Event]:
    """What was recorded under a root of artifacts, the oldest first; a line that cannot be read is passed over."""
    found: list[Event] = []
    try:
        lines = (root / EVENTS).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return found
    for line in lines:
        try:
            found.append(Event(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return found
