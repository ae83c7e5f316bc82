"""The sensor on the corpus documents: a changed file is read and checked again; nothing is trained."""

import errno
import json
import stat
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import dagster as dg

from hlx_assets.common import CORPUS_GROUP
from hlx_assets.corpus import assets
from hlx_assets.corpus.setting import setting_of_home
from hlx_assets.home import home_directory
from hlx_assets.io_manager import latest_path
from hlx_assets.waiting import is_taken, training_runs
from hlx_model.corpus.documents import kept_documents
from hlx_model.files import digest_of, sha256_of
from hlx_model.layout import EXAMPLES

PAUSES = (60.0, 600.0, 3600.0)
"""Seconds after which a request is repeated whose run has failed once, twice, three times; a fourth one is the last."""
REQUEST_TAG = "hlx/request"
"""The digest of what a run was requested for: those that repeat it have the same."""
CHANGED_TAG = "hlx/changed"
"""The changed documents."""

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
    """Compare the files with what was last materialized; return one request for each change.

    A file counts as saved when two ticks in a row have seen the same bytes, size and time.
    """
    instance = context.instance
    event = instance.get_latest_materialization_event(assets.corpus_document.key)
    if event is None:
        return dg.SkipReason("corpus_document was never materialized: nothing to compare with")
    try:
        setting = setting_of_home(instance)
        kept = kept_documents(latest_path(instance, assets.corpus_document.key))
    except (dg.Failure, OSError, ValueError) as error:
        return dg.SkipReason(f"nothing to compare with: {getattr(error, 'description', error)}")
    copied = [document for document in kept if not document.entries]
    if setting and setting.documents != tuple(document.source for document in copied):
        return dg.SkipReason(f"the corpus was set to {setting} since: materialize corpus_document")
    if not copied:
        return dg.SkipReason("the corpus is composed: there is no file to watch")
    seen: dict[str, list[Any]] = {}
    for document in copied:
        try:
            seen[document.source] = _fingerprint(Path(document.source))
        except OSError as error:
            return dg.SkipReason(f"{document.source} cannot be read ({error.strerror}): put it back, or name another")
    changed = [document.source for document in copied if seen[document.source][2] != document.sha256]
    before = _cursor(context.cursor)
    unsettled = [source for source in changed if before.get(source) != seen[source]]
    # With the materialization: a file that changes back is a change too. Without a change it may be unfinished.
    contents = sorted((path, found[2]) for path, found in seen.items())
    request = digest_of([event.run_id, contents]) if changed else _request_of(instance, event.run_id)
    earlier = instance.get_run_records(dg.RunsFilter(tags={REQUEST_TAG: request})) if request else []
    reason: str | None
    if unsettled:
        reason = f"{unsettled[0]} has just changed: waiting until it is written"
    elif request is None:
        reason = f"{len(copied)} documents, unchanged"
    else:
        reason = _wait(earlier) or _training(instance)
    if reason:
        return dg.SensorResult(skip_reason=reason, cursor=json.dumps(seen))
    run_request = dg.RunRequest(
        run_key=digest_of([request, len(earlier)]),
        run_config={"ops": _settings(instance)},
        tags={CHANGED_TAG: ", ".join(changed)[:250], REQUEST_TAG: str(request)},
    )
    return dg.SensorResult(run_requests=[run_request], cursor=json.dumps(seen))


def _cursor(text: str | None) -> dict[str, list[Any]]:
    """Return the fingerprints of the last tick by path; none if the cursor is damaged."""
    with suppress(ValueError):
        if isinstance(found := json.loads(text or "{}"), dict):
            return found
    return {}


def _fingerprint(path: Path) -> list[Any]:
    """Return time (Unix nanoseconds), size and SHA-256 of a file; `OSError` if it is none or cannot be read."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file")
    return [status.st_mtime_ns, status.st_size, sha256_of(path)]


def _request_of(instance: dg.DagsterInstance, run_id: str) -> str | None:
    """Return what a run was requested for; None if a person started it."""
    run = instance.get_run_by_id(run_id)
    return run.tags.get(REQUEST_TAG) if run else None


def _wait(earlier: Sequence[dg.RunRecord]) -> str | None:
    """Return why the earlier runs of a request, the newest first, need no other one now; None if they do."""
    if not earlier:
        return None
    run, ended = earlier[0].dagster_run, earlier[0].end_time or 0.0
    name = f"run {run.run_id[:8]}, which was requested for the documents"
    if not run.is_finished:
        return f"{name}, has not ended"
    if run.status == dg.DagsterRunStatus.SUCCESS:
        return f"the documents are unchanged since run {run.run_id[:8]}"
    if run.status == dg.DagsterRunStatus.CANCELED:
        return f"{name}, was cancelled: materialize the corpus yourself"
    if len(earlier) > len(PAUSES):
        return f"{name}, failed, as {len(PAUSES)} before it: see why there, then materialize the corpus yourself"
    if (left := PAUSES[len(earlier) - 1] - (time.time() - ended)) > 0:
        return f"{name}, failed: it is repeated in {left:.0f} seconds"
    return None


def _training(instance: dg.DagsterInstance) -> str | None:
    """Return why the corpora must not change now: somebody trains, or may still do so."""
    trains = [f"run {run.run_id[:8]}" for run in training_runs(instance)]
    if not trains and is_taken(home_directory()):
        trains = ["a `make curriculum`"]
    return f"{trains[0]} trains: its phases must not meet two versions of the corpora; later" if trains else None


def _settings(instance: dg.DagsterInstance) -> dict[str, Any]:
    """Return the run configuration that the examples were last made with. The home's setting has the documents."""
    event = instance.get_latest_materialization_event(assets.corpus_examples.key)
    run = instance.get_run_by_id(event.run_id) if event else None
    ops: Any = run.run_config.get("ops", {}) if run else {}
    return {EXAMPLES: ops[EXAMPLES]} if EXAMPLES in ops else {}
