"""A home with thousands of runs: copies of one real session with its events, and of the files of its training.

    template = make_template(folder / "template")
    home = make_many(template, folder / "home", runs=10_000)
    add_live(template, home, beats=200, trainer=ProcessRef.of(process.pid))

The rows of a copy are those that Dagster wrote for the session, with other ids and times. SQLite has a database a run
and an index of the events of assets; both are filled in bulk.
"""

import json
import os
import re
import shutil
import sqlite3
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import dagster as dg

from hlx_assets.curriculum import session as tags
from hlx_assets.watchdog.runs import WORKER_TAG
from hlx_model.checkpoints.manifest import read_manifest
from hlx_model.files import digest_of, named_specials, read_json, sha256_of
from hlx_model.layout import EVENTS, HEARTBEAT, MANIFEST, VERDICT
from hlx_model.phases import PHASES
from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.runs.processes import ProcessRef
from tests.support.dagster_home import Home, executed, make_home, opened

PHASE = PHASES[1]
ASSETS = (PHASE.checkpoint_asset, PHASE.report_asset, PHASE.card_asset)
SECONDS_APART = 600.0
"""Between the ends of two runs."""
_TIMES = frozenset({
    "timestamp", "create_timestamp", "update_timestamp", "event_timestamp", "evaluation_event_timestamp",
    "start_time", "end_time", "last_materialization_timestamp",
})  # fmt: skip
_IDS = ("id", "event_id", "evaluation_event_storage_id", "materialization_event_storage_id")
_TIME_IN_EVENT = re.compile(r'timestamp(\\*"): (\d{9,}\.\d+)')
_INDEX, _RUNS = "history/runs/index.db", "history/runs.db"
_OF_EVENTS = ("asset_event_tags", "asset_check_executions")
_WAL, _NO_WAL = b"\2\2", b"\1\1"
"""Bytes 18 and 19 of a database: a write-ahead log is a file, which a database in memory has not."""

Row = dict[str, Any]


class Rows:
    """Rows of one table, as one text in which names and times are replaced."""

    def __init__(self, rows: Sequence[Row]) -> None:
        """`rows` have the same columns."""
        self.columns = list(rows[0]) if rows else []
        self.text = json.dumps([list(row.values()) for row in rows], ensure_ascii=False)
        self.ids = [row["id"] for row in rows]


@dataclass(frozen=True)
class Template:
    """A home in which one session of phase 1 has ended, and what was written for it."""

    home: Path
    run_id: str
    training_id: str
    log: list[Row]
    """Its events: rows of the database of the run. What `logging.disable` suppresses is missing."""
    indexed: dict[str, list[Row]]
    """Its rows in the index, by table."""
    run: dict[str, list[Row]]
    """Its rows in the database of runs, by table."""

    @property
    def events(self) -> int:
        """Events of the run."""
        return len(self.log)

    @property
    def training(self) -> Path:
        """The directory of its training."""
        return self.home / "artifacts" / "training" / self.training_id


@dataclass(frozen=True)
class Copy:
    """The names and the time that a copy has in place of the template's."""

    template: Template
    run_id: str
    training_id: str
    seconds: float
    """Added to each time."""

    @classmethod
    def number(cls, template: Template, number: int, seconds: float) -> "Copy":
        """Return a copy; `number` decides its ids."""
        digest = sha256(f"{number}".encode()).digest()
        return cls(template, str(uuid.UUID(bytes=digest[:16], version=4)), digest[16:24].hex(), seconds)

    def text(self, text: str) -> str:
        """Return a text of the template as it is in the copy."""
        old = self.template
        for before, after in (
            (old.run_id, self.run_id), (old.run_id[:8], self.run_id[:8]), (old.training_id, self.training_id),
        ):  # fmt: skip
            text = text.replace(before, after)
        return _TIME_IN_EVENT.sub(lambda found: f"timestamp{found[1]}: {self._moved(found[2])}", text)

    def rows(self, rows: "Rows", ids: Mapping[int, int]) -> list[tuple[Any, ...]]:
        """Return rows of the template as they are in the copy; `ids` are the new ids of events, by the old ones."""
        return [
            tuple(self._value(name, value, ids) for name, value in zip(rows.columns, row, strict=True))
            for row in json.loads(self.text(rows.text))
        ]

    def _value(self, name: str, value: Any, ids: Mapping[int, int]) -> Any:
        if value is None:
            return None
        if name in _IDS:
            return ids.get(value, value)
        if name in _TIMES:
            if isinstance(value, float):
                return value + self.seconds
            return str(datetime.fromisoformat(value) + timedelta(seconds=self.seconds))
        return value

    def _moved(self, seconds: str) -> str:
        return f"{float(seconds) + self.seconds:.6f}"


def make_template(home: Path) -> Template:
    """Make a home, its corpora, and a session of phase 1 that passes its gates."""
    make_home(home)
    with opened(home) as opened_home:
        assert opened_home.materialize("corpus_document", "corpus_examples", PHASE.corpus).success
        settings = {PHASE.checkpoint_asset: {"epochs": 40, "batch_size": 2}}
        own = {tags.SESSION: "English", tags.SIZE: "tiny", tags.EPOCHS: "40"}
        run = executed(opened_home, *ASSETS, tags=own, **settings)
    assert run.success, run.failures
    found = run.materialization(PHASE.checkpoint_asset).metadata["training_id"].value
    with closing(_opened(home / _INDEX)) as index, closing(_opened(home / _RUNS)) as runs:
        events = _rows(index, "event_logs", "run_id = ?", run.id)
        ids = ", ".join(str(event["id"]) for event in events)
        with closing(_opened(home / f"history/runs/{run.id}.db")) as log:
            return Template(
                home, run.id, str(found), _rows(log, "event_logs"),
                {
                    "event_logs": events,
                    "asset_event_tags": _rows(index, "asset_event_tags", f"event_id in ({ids})"),
                    "asset_check_executions": _rows(index, "asset_check_executions", "run_id = ?", run.id),
                    "asset_keys": _rows(index, "asset_keys", "last_run_id = ?", run.id),
                },
                {name: _rows(runs, name, "run_id = ?", run.id) for name in ("runs", "run_tags")},
            )  # fmt: skip


def make_many(template: Template, home: Path, runs: int) -> Home:
    """Copy the template's home, and add so many ended sessions, each with its training; the newest has ended now."""
    shutil.copytree(template.home, home)
    copies = [Copy.number(template, number, SECONDS_APART * (number + 1 - runs)) for number in range(runs)]
    _write_runs(template, home, copies, template.log, template.indexed, template.run)
    _set_latest(home, copies[-1])
    for copy in copies:
        _copy_training(copy, home)
        _copy_evaluation(copy, home)
    with (home / "artifacts" / EVENTS).open("a", encoding="utf-8") as file:
        own = [line for line in file_lines(template.home / "artifacts" / EVENTS) if template.run_id in line]
        file.writelines(copy.text(line) for copy in copies for line in own)
    return Home(home)


def _set_latest(home: Path, copy: Copy) -> None:
    """Let a copy, whose events are the last ones, have the latest materialization of its assets."""
    with closing(_opened(home / _INDEX)) as index, index:
        last = index.execute("select max(id) from event_logs").fetchone()[0]
        for row in copy.template.indexed["asset_keys"]:
            body = copy.text(row["last_materialization"])
            named = re.search(r'"storage_id": (\d+)', body)
            assert named is not None
            number = int(named[1]) + last - max(event["id"] for event in copy.template.indexed["event_logs"])
            index.execute(
                "update asset_keys set last_materialization = ?, last_run_id = ? where asset_key = ?",
                (body.replace(named[0], f'"storage_id": {number}'), copy.run_id, row["asset_key"]),
            )


def add_live(template: Template, home: Home, beats: int, trainer: ProcessRef) -> list[Heartbeat]:
    """Add so many sessions that train now, with their heartbeats; the process `trainer` executes and trains them all.

    Their runs end in the middle of the template's log. The plans of their checks are left out.
    """
    made = next(row["timestamp"] for row in template.log if row["dagster_event_type"] == "ASSET_MATERIALIZATION")
    log = [row for row in template.log if row["timestamp"] < made]
    indexed = {
        "event_logs": [row for row in template.indexed["event_logs"] if row["timestamp"] < made],
        "asset_event_tags": [], "asset_check_executions": [],
    }  # fmt: skip
    running = {"status": dg.DagsterRunStatus.STARTED.value, "end_time": None}
    body = template.run["runs"][0]["run_body"].replace("PipelineRunStatus.SUCCESS", "PipelineRunStatus.STARTED")
    before = next(row["value"] for row in template.run["run_tags"] if row["key"] == WORKER_TAG)
    worker = f"{template.run_id[:8]} {trainer.host} {trainer.pid} {trainer.identity}"
    run = {
        "runs": [{**template.run["runs"][0], **running, "run_body": body.replace(before, worker)}],
        "run_tags": [
            {**row, "value": worker if row["value"] == before else row["value"]} for row in template.run["run_tags"]
        ],
    }
    copies = [Copy.number(template, -1 - number, 0.0) for number in range(beats)]
    _write_runs(template, home.path, copies, log, indexed, run)
    beat = Heartbeat.load(template.training)
    found = []
    for copy in copies:
        directory = _copy_training(copy, home.path, skip="*_FINAL_*")
        made_by = replace(beat, host=trainer.host, pid=trainer.pid, process=trainer.identity)
        own = replace(made_by, training_id=copy.training_id, run_id=copy.run_id)
        found.append(replace(own, status="training", epoch=30, step=60))
        found[-1].write(directory)
    return found


def _write_runs(
    template: Template, home: Path, copies: Sequence[Copy], log: Sequence[Row], indexed: Mapping[str, list[Row]],
    run: Mapping[str, list[Row]],
) -> None:  # fmt: skip
    """Write the rows of runs into the databases of a home."""
    events, logged = Rows(indexed["event_logs"]), Rows(log)
    # The id of such a row is its own; those of events stay in their columns.
    others = {name: Rows([{**row, "id": None} for row in indexed[name]]) for name in _OF_EVENTS}
    of_run = {name: Rows([{**row, "id": None} for row in rows]) for name, rows in run.items()}
    with _bulk(home / _INDEX) as index, _bulk(home / _RUNS) as runs, _empty_log(template) as database:
        free = index.execute("select max(id) from event_logs").fetchone()[0] + 1
        for copy in copies:
            ids = {before: free + place for place, before in enumerate(events.ids)}
            free += len(ids)
            _insert(index, "event_logs", events.columns, copy.rows(events, ids))
            for name, rows in others.items():
                _insert(index, name, rows.columns, copy.rows(rows, ids))
            for name, rows in of_run.items():
                _insert(runs, name, rows.columns, copy.rows(rows, {}))
            with database:
                database.execute("delete from event_logs")
                _insert(database, "event_logs", logged.columns, copy.rows(logged, {}))
            content = bytearray(database.serialize())
            content[18:20] = _WAL
            (home / f"history/runs/{copy.run_id}.db").write_bytes(content)


@contextmanager
def _bulk(path: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection to a database that is written in one go, and has its write-ahead log again afterwards."""
    with closing(_opened(path)) as database:
        database.execute("pragma journal_mode = delete")
        database.execute("pragma cache_size = -500000")
        with database:
            yield database
        database.execute("pragma journal_mode = wal")


@contextmanager
def _empty_log(template: Template) -> Iterator[sqlite3.Connection]:
    """Yield the database of the template's run in memory, without its events."""
    content = bytearray((template.home / f"history/runs/{template.run_id}.db").read_bytes())
    content[18:20] = _NO_WAL
    with closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(bytes(content))
        with database:
            database.execute("delete from event_logs")
        database.execute("vacuum")
        yield database


def _copy_training(copy: Copy, home: Path, skip: str = "") -> Path:
    """Copy the directory of the training by hard links; manifests and heartbeat are written anew. Return it."""
    source, target = copy.template.training, home / "artifacts" / "training" / copy.training_id
    _linked(source, target, skip)
    for path in target.glob(f"checkpoints/*/{MANIFEST}"):
        like = read_manifest(source / path.relative_to(target).parent)
        made = like.replace(training_id=copy.training_id, run_id=copy.run_id, created=_iso(like.created, copy.seconds))
        _write(path, json.dumps(made.to_json(), indent=2))
    beat = Heartbeat.load(source)
    moved = replace(beat, training_id=copy.training_id, run_id=copy.run_id)
    moved.started, moved.time = beat.started + copy.seconds, beat.time + copy.seconds
    _write(target / HEARTBEAT, json.dumps(named_specials(asdict(moved)), indent=2))
    return target


def _copy_evaluation(copy: Copy, home: Path) -> None:
    """Copy report, verdict and model card."""
    for folder in ("reports", "cards"):
        source = copy.template.home / "artifacts" / folder / copy.template.training_id
        target = home / "artifacts" / folder / copy.training_id
        _linked(source, target)
        for path in target.glob("*/*"):
            if path.suffix != ".svg":
                _write(path, copy.text((source / path.relative_to(target)).read_text(encoding="utf-8")))
        for path in target.glob(f"*/{VERDICT}"):
            content = {name: value for name, value in read_json(path).items() if name != "digest"}
            content["files"] = {name: sha256_of(path.with_name(name)) for name in content["files"]}
            _write(path, json.dumps({**content, "digest": digest_of(content)}, indent=2))


def _linked(source: Path, target: Path, skip: str = "") -> None:
    ignore = shutil.ignore_patterns(skip) if skip else None
    shutil.copytree(source, target, copy_function=os.link, ignore=ignore)


def _write(path: Path, text: str) -> None:
    """Replace a hard link by a file of its own."""
    path.unlink()
    path.write_text(text, encoding="utf-8")


def _iso(time: str, seconds: float) -> str:
    return (datetime.fromisoformat(time) + timedelta(seconds=seconds)).isoformat()


def file_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text file with their ends."""
    with path.open(encoding="utf-8") as file:
        yield from file


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    connection.execute("pragma synchronous = off")
    return connection


def _rows(database: sqlite3.Connection, table: str, where: str = "1", *values: str) -> list[Row]:
    found = database.execute(f"select * from {table} where {where} order by id", values)
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found]


def _insert(database: sqlite3.Connection, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        names, places = ", ".join(f'"{name}"' for name in columns), ", ".join("?" for _ in columns)
        database.executemany(f"insert into {table} ({names}) values ({places})", rows)
