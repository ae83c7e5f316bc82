"""Record which asset was materialized when and by which run, for readers without Dagster.

`<root>/materializations.jsonl`, one line each:

    {"asset": "hlx_corpus", "artifact": "corpora/hlx_corpus/1f…", "run_id": "…", "time": "…"}
"""

import json
from contextlib import suppress
from pathlib import Path

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from hlx_model.layout import EVENTS


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Event:
    """One materialization of an asset."""

    asset: str
    artifact: str
    """Its directory, relative to the root of the artifacts."""
    run_id: str
    time: str
    """UTC, ISO 8601."""


def record_event(root: Path, event: Event) -> None:
    """Append an event. A power cut may leave a shortened line, which `read_events` skips."""
    root.mkdir(parents=True, exist_ok=True)
    # Opened for appending, a whole line is written at once, also if several processes write.
    with (root / EVENTS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(vars(event), ensure_ascii=False) + "\n")


def read_events(root: Path) -> list[Event]:
    """Return the events recorded under a root of artifacts, the oldest first. Lines that cannot be read are skipped."""
    events: list[Event] = []
    with suppress(FileNotFoundError):
        for line in (root / EVENTS).read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError, TypeError):
                events.append(Event(**json.loads(line)))
    return events


def last_materialized(root: Path) -> dict[str, Path]:
    """Return the directory that each asset was last materialized to."""
    return {event.asset: root / event.artifact for event in read_events(root)}
