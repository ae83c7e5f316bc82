"""The loss curve of a training as an SVG that stands alone."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 640, 260, 48, 34, 26, 14


def loss_curve(rows: Sequence[Mapping[str, Any]]) -> str:
    """Training and held-out loss (nats) against steps, from rows of `metrics.parquet`."""
    train = _points(rows, "train_loss", lambda row: row["held_out_loss"] is None)
    held_out = _points(rows, "held_out_loss", lambda row: True)
    both = train + held_out
    if not both:
        return _svg(['<text x="20" y="40">no loss was recorded</text>'])
    most_x = max(x for x, _ in both) or 1.0
    most_y = max(y for _, y in both) * 1.05 or 1.0

    def place(point: tuple[float, float]) -> str:
        x = _LEFT + point[0] / most_x * (_WIDTH - _LEFT - _RIGHT)
        y = _HEIGHT - _BOTTOM - point[1] / most_y * (_HEIGHT - _BOTTOM - _TOP)
        return f"{x:.1f},{y:.1f}"

    parts = []
    for i in range(5):
        value = most_y * i / 4
        y = place((0, value)).split(",")[1]
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y}" text-anchor="end" dominant-baseline="middle">{value:.2f}</text>')
    for i in range(5):
        value = most_x * i / 4
        x = place((value, 0)).split(",")[0]
        parts.append(f'<text x="{x}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{value:.0f}</text>')
    series = (("training", "#4477aa", train, ""), ("held-out", "#ee6677", held_out, "circle"))
    for i, (name, colour, points, mark) in enumerate(series):
        path = " ".join(place(p) for p in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"/>')
        if mark:
            for point in points:
                x, y = place(point).split(",")
                parts.append(f'<circle cx="{x}" cy="{y}" r="2.6" fill="{colour}"/>')
        parts.append(f'<text x="{_LEFT + 8 + 90 * i}" y="16" fill="{colour}">{escape(name)} loss</text>')
    parts.append(f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 4}" text-anchor="end">step (loss in nats)</text>')
    return _svg(parts)


def _points(rows: Sequence[Mapping[str, Any]], column: str, wanted: Any) -> list[tuple[float, float]]:
    return [
        (float(row["step"]), float(row[column]))
        for row in rows
        if wanted(row) and row[column] is not None and math.isfinite(row[column])
    ]


def _svg(parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
        f'height="{_HEIGHT}" font-family="sans-serif" font-size="11">'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
    )
