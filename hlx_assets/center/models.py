"""What the answers of the Training Center contain. Losses are in nats a token, rates are shares from 0 to 1.

The types of the studio's page (`TrainingSession`, with its names) hold with two extensions: `targetModel` and `corpus`
are strings of more values. Fields that the page does not have are spelled as in the messages of the WebSocket.
"""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from hlx_model.model.sizes import SIZES

Corpus = Literal["English", "HLX", "Translation", "Curriculum"]
Status = Literal["queued", "running", "completed", "failed"]
State = Literal[
    "waiting", "preparing", "training", "judging", "canceling",
    "completed", "canceled", "withdrawn", "quality_failed", "aborted", "failed",
]  # fmt: skip
TARGETS = {f"Helix{size[0].upper()}{size[1:]}": size for size in SIZES}
"""The size of each target model: `Helix100m`, `Helix10m`, `HelixTiny`, …"""


def _is_none(value: object) -> bool:
    return value is None


class Answer(BaseModel):
    """An answer: every field is in its JSON and in its schema, by the name that the studio uses."""

    model_config = ConfigDict(
        populate_by_name=True, use_attribute_docstrings=True, serialize_by_alias=True,
        json_schema_serialization_defaults_required=True,
    )  # fmt: skip


class PhaseEstimate(Answer):
    """What one phase of a session will take."""

    phase: int
    epochs: int | None
    """None: known once the corpus is made."""
    tokens: int | None
    seconds: float | None
    """Of all steps; evaluations come on top. None: measured in the first half minute of the training."""
    tokens_per_second: float | None
    basis: str
    """What the speed was taken from, or why it is not known."""


class Estimate(Answer):
    """What a session will take, before it starts."""

    phases: list[PhaseEstimate]
    seconds: float | None
    """None if that of a phase is not known."""
    device: str
    disk_bytes: int
    """What its checkpoints need at most."""
    disk_free_bytes: int
    memory_bytes: int
    memory_available_bytes: int
    supervision_calls: int | None = 0
    """How often the supervisor is asked if the watchdog does not warn; None: known once the time of the training is."""
    cost_usd: float | None = 0.0
    """Of these calls at their worst, at most the cap; without a provider 0. None: the model's price is not known."""
    cost_cap_usd: float = 0.0
    """The cap of a session, which its supervision never passes; without a provider 0."""
    refusal: str | None = None
    """Why the session would be refused, and what would fit; one line."""
    must_confirm: str | None = None
    """Why the session must be confirmed; one line."""
    summary: str
    """One line for a person."""


class Links(Answer):
    """Addresses with more about a session; None for what does not exist yet."""

    page: str
    """The session's own page in the Center."""
    run: str | None
    """The run in Dagster's UI."""
    report: str | None
    card: str | None
    lineage: str | None


class TrainingSession(Answer):
    """A session. The first ten fields are those of the studio's page."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    id: str
    """The id of its Dagster run."""
    provider: str
    model: str
    target_model: str = Field(alias="targetModel")
    corpus: Corpus
    epochs: int
    """Of the phase that is trained, or of the last one; before it starts, as estimated."""
    status: Status
    progress: float | None = Field(default=None, exclude_if=_is_none)
    """0 to 100 of all steps. This and the two times are left out if there are none, as the page's type wants it."""
    start_time: datetime | None = Field(default=None, alias="startTime", exclude_if=_is_none)
    end_time: datetime | None = Field(default=None, alias="endTime", exclude_if=_is_none)

    state: State
    reason: str | None
    """One line: what a waiting session waits for, or why it ended as it did."""
    position: int | None
    """1 is next; None if it is not queued."""
    unsupervised: str | None = None
    """Why it has no supervisor, although one was named; one line."""
    created: datetime
    profile: str
    settings: dict[str, Any]
    """Those that were given, the epochs among them."""
    key_id: str | None
    chain: str | None
    after: str | None
    resumes: str | None
    parent: str | None
    """The checkpoint that its training starts from, `<training id>/<name>`."""
    trainings: list[str]
    """Ids of its trainings, the newest last."""
    phase: int | None
    """That is trained, or was trained last."""
    epoch: int | None
    total_epochs: int | None
    step: int | None
    steps: int | None
    train_loss: float | None
    """None also if it is not finite."""
    val_loss: float | None
    learning_rate: float | None
    tokens_per_second: float | None
    eta_hours: float | None
    """Of the phase that is trained."""
    verdict: Literal["pass", "warn", "fail"] | None
    grade: str | None
    links: Links


class StartAnswer(Answer):
    """A session that was started."""

    id: str
    status: Status
    position: int | None
    estimate: Estimate
    unsupervised: str | None = Field(default=None, exclude_if=_is_none)
    """Why it has no supervisor, although one was named (`without_provider`); one line. Otherwise left out."""


class StatusMessage(Answer):
    """A message of the WebSocket: the seven fields of the studio, then ours."""

    session_id: str
    status: Status
    epoch: int | None
    total_epochs: int | None
    train_loss: float | None
    val_loss: float | None
    eta_hours: float | None

    state: State
    reason: str | None
    progress: float | None
    position: int | None
    phase: int | None
    training_id: str | None
    step: int | None
    steps: int | None
    learning_rate: float | None
    tokens_per_second: float | None
    null_reasons: dict[str, str]
    """Why each field is null that is: `{"val_loss": "not measured yet"}`."""


class CurvePoint(Answer):
    """A record of a training."""

    step: int
    epoch: int
    train_loss: float | None
    val_loss: float | None
    learning_rate: float | None
    tokens_per_second: float | None


class Gate(Answer):
    """A gate's result."""

    name: str
    outcome: Literal["pass", "warn", "fail"]
    reason: str


class MilestoneMark(Answer):
    """The gates of one epoch during a training."""

    epoch: int
    step: int | None
    """The step at which that epoch ended; None if the curve has no such record."""
    outcome: Literal["pass", "warn", "fail"]
    gates: list[Gate]


class TrainingCurve(Answer):
    """The curve of one training of a session."""

    training_id: str
    phase: int
    points: list[CurvePoint]
    """At most 2,000, thinned evenly; the records with a validation loss are all kept."""
    milestones: list[MilestoneMark]


class SessionGates(Answer):
    """The gates of one training of a session: at its milestones, and of its report."""

    training_id: str
    phase: int
    milestones: list[MilestoneMark]
    verdict: Literal["pass", "warn", "fail"] | None
    conclusion: str | None
    gates: list[Gate]


class LogLine(Answer):
    """A line of a session's log."""

    time: datetime
    level: str
    step: str | None
    text: str


class SessionLog(Answer):
    """Lines of a log, oldest first, and the place after them."""

    lines: list[LogLine]
    cursor: str | None
    """Send it as `?cursor=` to get the lines after these."""
    more: bool


class HistoryRow(Answer):
    """An ended session with the figures of its last training."""

    session: TrainingSession
    seconds: float | None
    """From its start to its end."""
    train_loss: float | None
    """The last one."""
    best_val_loss: float | None
    test_loss: float | None
    exact_match_to_hlx: float | None
    exact_match_to_english: float | None
    evaluation: float | None
    """Share of right answers on evaluation documents."""
    cost_usd: float | None = None
    """What was paid for its supervision, with what is reserved; None if the ledger cannot be read."""


class Comparison(Answer):
    """Sessions beside each other."""

    sessions: list[HistoryRow]
    settings: dict[str, list[Any]]
    """By setting, a value for each session; only those that differ."""
    figures: dict[str, list[float | None]]
    curves: list[TrainingCurve | None]
    """Of each session the curve of its last training; None without one."""


class CheckpointRow(Answer):
    """The checkpoint that a training passes on."""

    id: str
    """The training's id."""
    name: str
    phase: int
    size: str
    epoch: int | None
    epochs: int | None
    kind: str
    created: datetime | None
    verdict: Literal["pass", "warn", "fail"] | None
    grade: str | None
    conclusion: str | None
    evaluation: float | None
    exact_match_to_hlx: float | None
    exact_match_to_english: float | None
    translates: bool
    run_id: str | None
    session: str | None
    """The page of the session that trained it; None if it was no session."""
    report: str | None
    card: str | None
    lineage: str | None


class TestAnswer(Answer):
    """What a checkpoint answered."""

    text: str
    to: str
    parses: bool
    checkpoint: str
    trust: list[str]
    """What the model can do and its verdict; lines for a person."""


class ExportAnswer(Answer):
    """An exported model in the home."""

    directory: str
    files: list[str]
    note: str | None


class AlertLine(Answer):
    """An alert of the watchdog."""

    time: datetime
    subject: str
    problem: str | None
    """None: the subject has recovered."""
    run_id: str | None
    training_id: str | None


class Health(Answer):
    """Whether what a session needs works."""

    status: Literal["ok", "degraded"]
    problems: list[str]
    """One line each, with what to do."""
    daemon: bool
    watchdog: bool
    device: str
    disk_free_bytes: int
    version: str
    alerts: list[AlertLine]
    """The newest first."""


class Problem(Answer):
    """Why a request was refused."""

    detail: str
    """One line with what to do."""
