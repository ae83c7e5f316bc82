"""Record which asset was materialized when and by which run, for readers without Dagster.

`<root>/materializations.jsonl`, one line each:

    {"asset": "hlx_corpus", "artifact": "corpora/hlx_corpus/1f…", "run_id": "…", "time": "…"}
"""

import json
import logging
from pathlib import Path

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from hlx_model.files import append_line, skipping
from hlx_model.json_model import PathComponent, RelativePath
from hlx_model.layout import EVENTS

log = logging.getLogger(__name__)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Event:
    """One materialization of an asset."""

    asset: PathComponent
    artifact: RelativePath
    """Its directory, relative to the root of the artifacts."""
    run_id: str
    time: str
    """UTC, ISO 8601."""


def record_event(root: Path, event: Event) -> None:
    """Append an event, on a line of its own. A power cut may leave a shortened line, which `read_events` skips."""
    append_line(root / EVENTS, json.dumps(vars(event), ensure_ascii=False))


def read_events(root: Path) -> list[Event]:
    """Return the events recorded under a root of artifacts, the oldest first.

    What cannot be read is skipped, with one warning.
    """
    events: list[Event] = []
    skipped: list[int] = []
    path = root / EVENTS
    with skipping(path, log.warning):
        lines = path.read_bytes().split(b"\n") if path.exists() else []
        for number, line in enumerate(lines, 1):
            try:
                events += [Event(**json.loads(line))] if line.strip() else []
            except (ValueError, TypeError, RecursionError):
                skipped.append(number)
    if skipped:
        more = f" and {len(skipped) - 1} more" if len(skipped) > 1 else ""
        log.warning("skipped: %s line %d%s: not a record of a materialization", path, skipped[0], more)
    return events


def last_materialized(root: Path) -> dict[str, Path]:
    """Return the directory that each asset was last materialized to."""
    return {event.asset: root / event.artifact for event in read_events(root)}
