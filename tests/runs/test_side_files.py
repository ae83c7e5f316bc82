"""Any bytes in one side file of one training: each command and the watchdog's sensor name it, and show the others."""

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hlx_assets.watchdog.sensors import watchdog_sensor
from hlx_model.files import read_json
from hlx_model.layout import EVENTS, HEARTBEAT, METRICS, MILESTONE_RESULTS, TICK
from hlx_model.provenance.events import Event, read_events, record_event
from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.runs.liveness import Tick, asleep, leave_tick
from hlx_model.runs.metrics import Metrics, MetricsRow, read_curve, read_metrics
from hlx_model.verdicts import Milestone
from tests.support.command import Hlx
from tests.support.curriculum import Curriculum
from tests.support.processes import beat_in

ROW: MetricsRow = {
    "step": 5, "epoch": 1, "train_loss": 4.0, "held_out_loss": None, "learning_rate": 1e-3, "tokens_per_second": None
}  # fmt: skip
EVENT = Event("hlx_corpus", "corpora/hlx_corpus/1f", "run", "2026-11-01T00:00:00+00:00")
EXAMPLES = 5 if settings().max_examples <= 100 else 200
"""An example runs six commands and the sensor."""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def running(curriculum: Curriculum, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Path]]:
    """The folder of the trainings of a curriculum, of which phase 1 is running, and its side files by name."""
    root = tmp_path_factory.mktemp("side-files") / "artifacts"
    shutil.copytree(curriculum.root, root)
    directory = root / "training" / curriculum.phases[1].plan.id
    fresh = Heartbeat("0" * 16, 1, "tiny", 40)
    replace(beat_in(directory), status="training", pid=fresh.pid, process=fresh.process).write(directory)
    leave_tick(directory.parent)
    record_event(root, EVENT)
    files = [
        *(directory / name for name in (HEARTBEAT, METRICS, MILESTONE_RESULTS)),
        directory.parent / TICK,
        root / EVENTS,
    ]
    return directory.parent, {path.name: path for path in files}


@pytest.fixture(scope="module")
def tick(running: tuple[Path, dict[str, Path]]) -> Iterator[Callable[[], str]]:
    """Return a function that lets the sensor check, and returns what it reports."""
    training_watchdog = watchdog_sensor(60)
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        patch.setenv("DAGSTER_HOME", str(running[0].parents[1]))

        def check() -> str:
            with dg.build_sensor_context(instance=instance) as context:
                found = training_watchdog(context)
            assert isinstance(found, dg.SkipReason)
            return found.skip_message or ""

        yield check


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Draw what a file with this content may have become."""
    kind = draw(st.sampled_from(["bytes", "cut", "flipped", "other JSON", "a changed value"]))
    if kind == "bytes":
        return draw(st.binary(max_size=200))
    if kind == "cut":
        return content[: draw(st.integers(0, max(0, len(content) - 1)))]
    if kind == "flipped":
        place = draw(st.integers(0, len(content) - 1))
        return content[:place] + bytes([content[place] ^ draw(st.integers(1, 255))]) + content[place + 1 :]
    changed = draw(JSON)
    try:
        before = json.loads(content)
    except ValueError:
        before = None
    if kind == "a changed value" and isinstance(before, dict):
        changed = {**before, draw(st.sampled_from(sorted(before))): changed}
    return json.dumps(changed).encode()


def read_milestones(path: Path) -> None:
    for one in read_json(path):
        Milestone.from_json(one)


def read_records(path: Path) -> None:
    for line in path.read_bytes().split(b"\n"):
        if line.strip():
            Event(**json.loads(line))


READERS: dict[str, Callable[[Path], object]] = {
    HEARTBEAT: lambda path: Heartbeat.load(path.parent),
    METRICS: read_curve,
    MILESTONE_RESULTS: read_milestones,
    TICK: Tick.read,
    EVENTS: read_records,
}


def can_be_read(path: Path) -> bool:
    """Whether a side file is still what it must be."""
    try:
        READERS[path.name](path)
    except (OSError, ValueError, TypeError, RecursionError):
        return False
    return True


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_bytes_in_a_side_file_end_no_command(
    running: tuple[Path, dict[str, Path]],
    tick: Callable[[], str],
    hlx: Hlx,
    caplog: pytest.LogCaptureFixture,
    name: str,
    data: st.DataObject,
) -> None:
    folder, files = running
    path, before = files[name], files[name].read_bytes()
    others = {directory.name for directory in folder.iterdir() if directory.is_dir() and directory != path.parent}
    try:
        path.write_bytes(data.draw(damaged(before)))
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            shown = [
                hlx("status", "--checkpoint-dir", folder, "--json"),
                hlx("status", "--checkpoint-dir", folder),
                hlx("watchdog", "--once", "--checkpoint-dir", folder),
                hlx("history", "--checkpoint-dir", folder),
                hlx("lineage", "verify", next(folder.glob("*/checkpoints/phase3_FINAL_*"))),
                hlx("clean", "--checkpoint-dir", folder),
            ]
        for ran in shown:
            assert ran.code in (0, 1) and "Traceback" not in ran.err and "error:" not in ran.err, ran
        assert {one["training_id"] for one in json.loads(shown[0].out)["trainings"]} >= others
        assert all(other[:8] in shown[1].out for other in others)
        said = "".join([tick(), caplog.text, *(ran.out + ran.err for ran in shown)])
        assert can_be_read(path) or path.name in said
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1\x00PAR1", b"{}"])
def test_a_torn_curve_is_a_warning_and_the_training_records_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    (tmp_path / METRICS).write_bytes(content)
    metrics = Metrics(tmp_path)
    assert METRICS in caplog.text and "cannot be read" in caplog.text
    metrics.append(ROW)
    assert read_metrics(tmp_path) == [ROW]


@pytest.mark.parametrize("left", [b'{"asset": "hlx_co', b"{", b"\xff"])
def test_a_cut_record_swallows_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture, left: bytes) -> None:
    record_event(tmp_path, EVENT)
    with (tmp_path / EVENTS).open("ab") as file:
        file.write(left)
    record_event(tmp_path, EVENT)
    assert read_events(tmp_path) == [EVENT, EVENT]
    assert f"{EVENTS} line 2: not a record" in caplog.text


def test_a_check_whose_record_is_torn_is_named(tmp_path: Path) -> None:
    assert "has never run" in (asleep(tmp_path) or "")
    (tmp_path / TICK).write_text('{"time": null}')
    assert TICK in (asleep(tmp_path) or "") and "cannot be read" in (asleep(tmp_path) or "")
