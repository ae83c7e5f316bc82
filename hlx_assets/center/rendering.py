"""Renders the pages of the Training Center with Jinja2: every value is escaped, and a name that is missing is an error.

Characters that cannot be seen become visible, as in the reports. A template sets no style and runs no script: the
Content-Security-Policy of the Center allows neither.
"""

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup

from hlx_assets.center.models import TARGETS, CurvePoint, State, TrainingCurve, TrainingSession
from hlx_model.model.sizes import SIZES
from hlx_model.money import NANO, dollars
from hlx_model.phases import PHASES
from hlx_model.reporting import numbers
from hlx_model.reporting.render import template_environment
from hlx_model.shown import show_unseen
from hlx_model.training.forecast import duration
from hlx_model.training.memory import gib

STATIC = Path(__file__).parent / "static"
"""Style sheet, script and vendored libraries: served at `/center/static`."""
NAME = "HLX Brain"
CORPORA = {
    "English": ("English Mastery", "Phase 1"),
    "HLX": ("HLX Family", "Phase 2"),
    "Translation": ("Translation", "Phase 3"),
    "Curriculum": ("Curriculum", "Phases 1 to 3"),
}
"""The title of each corpus and the phases that it trains."""
STATES: dict[State, str] = {
    "waiting": "waiting", "preparing": "preparing", "training": "training", "judging": "gates are checked",
    "canceling": "ending", "completed": "passed its gates", "canceled": "canceled", "withdrawn": "withdrawn",
    "quality_failed": "failed its gates", "aborted": "stopped by a rule", "failed": "ended by an error",
}  # fmt: skip
"""What each state is called."""
TABLE_ROWS = 40
"""Rows of a curve as a table."""
_SIGNS = {"running": "▶", "completed": "✓", "failed": "✗"}


def render(template: str, **values: object) -> Markup:
    """Render a template, named without `.html`, with these values."""
    return Markup(_environment().get_template(f"{template}.html").render(**values))


def label(session: TrainingSession) -> str:
    """Return what a session is called in few words: `English tiny`."""
    return f"{session.corpus} {TARGETS.get(session.target_model, session.target_model)}"


def page_title(sessions: Sequence[TrainingSession], default: str) -> str:
    """Return the title of a page about sessions: of the running one, else of the one that ended last.

    Args:
        sessions: of them the first that is not queued counts.
        default: the title if there is none.
    """
    session = next((one for one in sessions if one.status in _SIGNS), None)
    if session is None:
        return f"{default} – {NAME}"
    progress = f"{whole_percent(session.progress)} " if session.status == "running" else ""
    return f"{_SIGNS[session.status]} {progress}{label(session)} – {NAME}"


def whole_percent(progress: float | None) -> str:
    """Format progress from 0 to 100, as `43%`; only what is complete is 100%."""
    return "0%" if progress is None else f"{int(progress)}%"


def format_loss(loss: float | None) -> str:
    """Format a loss in nats, as `2.342`."""
    return numbers.NOTHING if loss is None else f"{loss:.3f}"


def format_whole(value: float | None) -> str:
    """Format a speed without decimals, as `12,345`."""
    return numbers.NOTHING if value is None else f"{value:,.0f}"


def short_count(count: int) -> str:
    """Format a large number in three digits, as `492 K` or `7.38 M`."""
    for size, sign in ((10**9, "B"), (10**6, "M")):
        if count >= size:
            return f"{count / size:.3g} {sign}"
    return f"{count / 1000:.3g} K"


def format_small(value: float | None) -> str:
    """Format a figure such as a learning rate with three digits, as `0.006` or `5e-5`."""
    return numbers.NOTHING if value is None else re.sub(r"e-0?", "e-", f"{value:.3g}")


def format_usd(amount: float) -> str:
    """Format dollars, as `$0.25` or `$0.0012`."""
    return dollars(round(amount * NANO))


def format_duration(seconds: float | None) -> str:
    """Format a time, as `3.2 hours`."""
    return numbers.NOTHING if seconds is None else duration(seconds)


def format_time(time: datetime | None) -> Markup:
    """Format a moment as an element that the script shows in the reader's time zone."""
    if time is None:
        return Markup(numbers.NOTHING)
    utc = time.astimezone(UTC)
    return Markup('<time datetime="{}">{} UTC</time>').format(utc.isoformat(), utc.strftime("%d %b %Y, %H:%M"))


def table_rows(curve: TrainingCurve) -> list[CurvePoint]:
    """Return the records of a curve that its table shows, at most 40: those with a validation loss, if there are."""
    points = [point for point in curve.points if point.val_loss is not None] or curve.points
    spacing = max(1.0, (len(points) - 1) / (TABLE_ROWS - 1))
    return [points[round(i * spacing)] for i in range(min(len(points), TABLE_ROWS))]


def ticks(text: str) -> Markup:
    """Show what a message has in backticks, such as a command, as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return Markup("{}").format(show_unseen(text))
    escaped = [Markup("<code>{}</code>" if i % 2 else "{}").format(show_unseen(part)) for i, part in enumerate(parts)]
    return Markup("").join(escaped)


@cache
def static(name: str) -> str:
    """Return the address of a static file, which changes with its content: a browser may keep it for ever."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/center/static/{name}?v={digest}"


@cache
def _environment() -> Environment:
    environment = template_environment("hlx_assets.center", show_unseen)
    environment.filters |= {
        "number": numbers.format_number,
        "percent": numbers.format_percent,
        "progress": whole_percent,
        "loss": format_loss,
        "small": format_small,
        "whole": format_whole,
        "short_count": short_count,
        "duration": format_duration,
        "gib": gib,
        "usd": format_usd,
        "time": format_time,
        "moment": lambda text: format_time(datetime.fromisoformat(text)),
        "label": label,
        "rows": table_rows,
        "ticks": ticks,
    }
    environment.globals |= {
        "static": static, "corpora": CORPORA, "states": STATES, "phases": PHASES,
        "targets": {target: SIZES[size].parameters for target, size in TARGETS.items()},
    }  # fmt: skip
    return environment
