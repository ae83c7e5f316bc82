"""The opinions on a training: `training/<id>/opinions.jsonl`, a line each. Gates, aborts and watchdog never read it."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Literal

from hlx_model.files import append_line
from hlx_model.json_model import Float, JsonModel
from hlx_model.layout import OPINIONS

Verdict = Literal["continue", "watch", "stop"]
Trigger = Literal["time", "gates", "watchdog"]


class Evidence(JsonModel):
    """A figure that an opinion cites."""

    step: int
    figure: str


class Opinion(JsonModel):
    """What a supervisor answered, or why there is no answer."""

    time: Float
    """Unix seconds."""
    trigger: Trigger
    step: int
    """The step of the training when it was asked."""
    epoch: int
    """Its epoch; if gates were evaluated, theirs."""
    provider: str
    model: str
    outcome: str
    """One line: `answered`, or why not (`question.describe`)."""
    cost_nanodollars: int = 0
    question: str = ""
    """Digest of the question."""
    verdict: Verdict | None = None
    """None without an answer."""
    confidence: Literal["low", "medium", "high"] | None = None
    signs: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    advice: str = ""
    note: str = ""


def record_opinion(training: Path, opinion: Opinion) -> None:
    """Append an opinion to those on the training in a directory."""
    append_line(training / OPINIONS, json.dumps(opinion.to_json(), ensure_ascii=False))


def read_opinions(training: Path) -> list[Opinion]:
    """Return the opinions on the training in a directory, the oldest first; a line that cannot be read is skipped."""
    found: list[Opinion] = []
    with suppress(FileNotFoundError):
        for line in (training / OPINIONS).read_text(encoding="utf-8", errors="replace").split("\n"):
            with suppress(ValueError, TypeError, RecursionError):
                found.append(Opinion.from_json(json.loads(line)))
    return found
