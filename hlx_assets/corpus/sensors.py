"""The sensor on the corpus documents: a changed file is read and checked again; nothing is trained."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from hlx_assets.common import CORPUS_GROUP
from hlx_assets.corpus import assets
from hlx_assets.io_manager import CHECKPOINTS, latest_path
from hlx_assets.watchdog.runs import UNFINISHED
from hlx_model.corpus.documents import StoredDocument, kept_documents
from hlx_model.files import digest_of, sha256_of

SETTLED_SECONDS = 2.0
"""A file that changed more recently is taken for half written."""

corpus = dg.define_asset_job(
    "corpus",
    selection=dg.AssetSelection.groups(CORPUS_GROUP),
    description="Read the corpus documents again, derive the three corpora and check them; trains nothing.",
)


@dg.sensor(
    job=corpus,
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Notices a changed corpus document, and requests the corpus assets and their checks. Checkpoints "
    "that were made from the older version then show as stale; training them again is left to you.",
)
def corpus_documents_changed(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Compare the files with what was last materialized; return one request for each change."""
    key = assets.corpus_document.key
    event = context.instance.get_latest_materialization_event(key)
    if event is None:
        return dg.SkipReason("corpus_document was never materialized: nothing to compare with")
    kept = kept_documents(latest_path(context.instance, key))
    copied = [document for document in kept if not document.entries]
    if not copied:
        return dg.SkipReason("the corpus is composed: there is no file to watch")
    known: dict[str, list[Any]] = json.loads(context.cursor or "{}")
    seen: dict[str, list[Any]] = {}
    for document in copied:
        try:
            status = Path(document.source).stat()
            stamp = [status.st_mtime_ns, status.st_size]
            if time.time() - status.st_mtime < SETTLED_SECONDS:
                return dg.SkipReason(f"{document.source} has just changed: waiting until it is written")
            before = known.get(document.source, [])
            seen[document.source] = before if before[:2] == stamp else [*stamp, sha256_of(Path(document.source))]
        except OSError as error:
            return dg.SkipReason(f"{document.source} cannot be read ({error.strerror}): put it back, or name another")
    cursor = json.dumps(seen)
    changed = [document.source for document in copied if seen[document.source][2] != document.sha256]
    if not changed:
        return dg.SensorResult(skip_reason=f"{len(copied)} documents, unchanged", cursor=cursor)
    if training := _training(context.instance):
        return dg.SkipReason(f"run {training[:8]} trains: its phases must not meet two versions of the corpora; later")
    request = dg.RunRequest(
        # With the materialization: a file that changes back is a change too.
        run_key=digest_of([event.run_id, sorted((path, found[2]) for path, found in seen.items())]),
        run_config={"ops": _settings(context.instance, kept)},
        tags={"hlx/changed": ", ".join(changed)[:250]},
    )
    return dg.SensorResult(run_requests=[request], cursor=cursor)


def _training(instance: dg.DagsterInstance) -> str | None:
    """Return the id of an unfinished run that trains, or may still do so."""
    for run in instance.get_runs(dg.RunsFilter(statuses=[*UNFINISHED, dg.DagsterRunStatus.QUEUED])):
        selected = {key.to_user_string() for key in run.asset_selection or ()}
        if selected & CHECKPOINTS or (run.asset_selection is None and run.job_name == "curriculum"):
            return run.run_id
    return None


def _settings(instance: dg.DagsterInstance, kept: Sequence[StoredDocument]) -> dict[str, Any]:
    """Return the run configuration that the corpus was last made with: its documents, and the settings of that run."""
    copied = [document.source for document in kept if not document.entries]
    composed = next((document for document in kept if document.entries), None)
    made = {"entries": composed.entries, "seed": composed.seed} if composed else {"entries": 0}
    settings: dict[str, Any] = {"corpus_document": {"config": {"corpus": os.pathsep.join(copied), **made}}}
    event = instance.get_latest_materialization_event(assets.corpus_examples.key)
    run = instance.get_run_by_id(event.run_id) if event else None
    ops: Any = run.run_config.get("ops", {}) if run else {}
    return settings | {name: ops[name] for name in ("corpus_examples", "corpus_examples_quarantine") if name in ops}
