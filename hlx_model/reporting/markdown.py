"""A report as Markdown, for Dagster's UI: the shorter version of the page."""

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hlx_model.evaluation.compare import COMPARED
from hlx_model.reporting.numbers import (
    NOTHING,
    answer_found,
    escape_unseen,
    format_interval,
    format_number,
    format_percent,
)

_SIGN = {
    "pass": "✅ pass", "warn": "⚠️ warn", "fail": "❌ fail",
    "better": "▲ better", "same": "= same", "worse": "▼ worse",
}  # fmt: skip


def report_markdown(report: Mapping[str, Any], loss: str) -> str:
    """The report for people; `loss` is the loss curve as SVG, put in as a data URI."""
    f = report["figures"]
    grade = report["grade"]
    encoded = base64.b64encode(loss.encode()).decode()
    versions = [[code(asset), code(version)] for asset, version in report["corpora"].items()]
    sections = {
        "Grade": table(["part", "points", "why"], [
            [part["name"], f"{format_number(part['points'])} of {format_number(part['of'])}", prose(part["why"])]
            for part in grade["parts"]
        ]),
        "Gates": table(["gate", "outcome", "figure", "interval (95%)"], [
            [code(gate["name"]), _SIGN[gate["outcome"]], prose(gate["reason"]), format_interval(gate["interval"])]
            for gate in report["gates"]
        ]),
        "Comparison": _comparison(report["comparison"]),
        "Translation of held-out pairs": translation(f),
        "Between formats": between_formats(f.get("between", {})),
        "Loss": [f"![loss](data:image/svg+xml;base64,{encoded})"],
        "Gates during training": table(["epoch", "outcome", "figures"], [
            [format_number(m["epoch"]), _SIGN[m["outcome"]], prose("; ".join(gate["reason"] for gate in m["gates"]))]
            for m in report["milestones"]
        ]),
        "The worst answers": _examples(report["worst"]),
        "What it writes": _examples(report["examples"]),
        "Standard prompts": table(["prompt", "asked in", "written", ""], [
            [code(a["prompt"]), a["target"], code(a["written"]), _found(a)] for a in f.get("standard_prompts", ())
        ]),
        "Judged on": table(["corpus", "data version"], versions),
    }  # fmt: skip
    lines = [
        f"# Phase {report['phase']} report: {_SIGN[report['outcome']]}, "
        f"{grade['letter']} ({format_number(grade['points'])} of 100 points)",
        "",
        f"Checkpoint `{report['checkpoint']}` ({report['size']}, epoch {format_number(report['epoch'])} of "
        f"{format_number(report['epochs'])}, step {format_number(report['step'])}), "
        f"weights `{report['weights_sha256'][:12]}`, "
        f"gates version {report['gates_version']}.",
        "",
    ]
    if report["stopped"]:
        lines += [f"**Training was stopped:** {prose(report['stopped'])}", ""]
    for title, content in sections.items():
        if content:
            lines += [f"## {title}", "", *content, ""]
    return "\n".join(lines)


def _comparison(comparison: Mapping[str, Any] | None) -> list[str]:
    if comparison is None:
        return ["There is no earlier report of this phase to compare with."]
    rows = []
    for name, c in comparison["figures"].items():
        shown = format_number if name.endswith("loss") else format_percent
        rows.append([code(name), shown(c["before"]), shown(c["now"]), _SIGN[c["outcome"]]])
    against = f"{_SIGN[comparison['outcome']]} than the report before, on {code(comparison['with'])}."
    return [against, "", COMPARED, "", *table(["figure", "before", "now", ""], rows)]


def translation(f: Mapping[str, Any]) -> list[str]:
    """The rates of a report's figures by direction; nothing where it asked for no translation."""
    if "to_hlx" not in f:
        return []
    named = {f"English → {name}": rates for name, rates in f["to_hlx"].items()}
    named |= {f"{name} → English": rates for name, rates in f["to_english"].items()}
    named |= {
        "**English → HLX**": f["all_to_hlx"],
        "**HLX → English**": f["all_to_english"],
        "between formats": f["between_formats"],
        "training pairs reproduced": f["training_pairs"],
    }
    rows = [
        [
            name,
            *(rate_cell(rates, key) for key in ("exact_match", "value_match", "parse_rate")),
            format_number(rates["samples"]),
        ]
        for name, rates in named.items()
    ]
    return table(["direction", "exact match", "value match", "parse rate", "samples"], rows)


def between_formats(between: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Exact match from each format to each other."""
    rows = [
        [source, *(rate_cell(row[target], "exact_match") if target in row else NOTHING for target in between)]
        for source, row in between.items()
    ]
    return table(["exact match, from ↓ to →", *between], rows)


def rate_cell(rates: Mapping[str, Any], name: str) -> str:
    """A rate with its interval."""
    return (
        f"{format_percent(rates[name])} ({format_interval(rates[f'{name}_interval'])})" if rates["samples"] else NOTHING
    )


def _examples(examples: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [
        [code(e["prompt"]), code(e["written"]), NOTHING if e["expected"] is None else code(e["expected"]), _found(e)]
        for e in examples
    ]
    return table(["prompt", "written", "expected, or in the corpus", ""], rows)


def _found(answer: Mapping[str, Any]) -> str:
    return " ".join(answer_found(answer))


def code(text: str) -> str:
    """Inline code for a table's cell, whatever the model wrote."""
    shown = escape_unseen(text).replace("|", "\\|") or " "
    ticks = "`"
    while ticks in shown:
        ticks += "`"
    pad = " " if "`" in shown else ""
    return f"{ticks}{pad}{shown}{pad}{ticks}"


def prose(text: str) -> str:
    """Prose for a table's cell: a reason may quote what a model wrote, and that is no Markdown."""
    return re.sub(r"[|<`\[]", r"\\\g<0>", escape_unseen(text))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table; nothing where it has no rows."""
    if not rows:
        return []
    return [
        "| " + " | ".join(header) + " |",
        "|" + "---|" * len(header),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
