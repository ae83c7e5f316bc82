"""A report as Markdown: what passed, what did not, the loss curve and what the model wrote."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

_SIGN = {"pass": "✅ pass", "warn": "⚠️ warn", "fail": "❌ fail"}


def markdown(report: Mapping[str, Any], figure: str) -> str:
    """The report for people; `figure` is the loss curve as SVG, put in as a data URI."""
    f = report["figures"]
    lines = [
        f"# Phase {report['phase']} report: {_SIGN[report['outcome']]}",
        "",
        f"Checkpoint `{report['checkpoint']}` ({report['size']}, epoch {report['epoch']} of {report['epochs']}, "
        f"step {report['step']}), weights `{report['weights_sha256'][:12]}`, gates version {report['gates_version']}.",
        "",
    ]
    if report["stopped"]:
        lines += [f"**Training was stopped:** {report['stopped']}", ""]
    lines += ["## Gates", "", *_table(
        ["gate", "outcome", "figure"],
        [[f"`{gate['name']}`", _SIGN[gate["outcome"]], gate["reason"]] for gate in report["gates"]],
    ), ""]  # fmt: skip
    if "to_hlx" in f:
        lines += ["## Translation of held-out pairs", "", *_translation(f), ""]
    encoded = base64.b64encode(figure.encode()).decode()
    lines += ["## Loss", "", f"![loss](data:image/svg+xml;base64,{encoded})", ""]
    if report["milestones"]:
        rows = [
            [str(m["epoch"]), _SIGN[m["outcome"]], "; ".join(gate["reason"] for gate in m["gates"])]
            for m in report["milestones"]
        ]
        lines += ["## Gates during training", "", *_table(["epoch", "outcome", "figures"], rows), ""]
    if report["examples"]:
        lines += ["## What it writes", "", *_examples(report["examples"]), ""]
    if f.get("standard_prompts"):
        answers = [
            [_code(a["prompt"]), a["target"], _code(a["written"]), "yes" if a["parses"] else "no"]
            for a in f["standard_prompts"]
        ]
        lines += [
            "## Standard prompts",
            "",
            *_table(["prompt", "asked in", "written", "parses"], answers),
            "",
        ]
    versions = [[f"`{asset}`", f"`{version}`"] for asset, version in report["corpora"].items()]
    lines += ["## Judged on", "", *_table(["corpus", "data version"], versions), ""]
    return "\n".join(lines)


def _translation(f: Mapping[str, Any]) -> list[str]:
    def cells(name: str, rates: Mapping[str, Any]) -> list[str]:
        shown = [f"{rates[k]:.1%}" if rates["samples"] else "–" for k in ("exact_match", "value_match", "parse_rate")]
        return [name, *shown, str(rates["samples"])]

    rows = [cells(f"English → {name}", rates) for name, rates in f["to_hlx"].items()]
    rows += [cells(f"{name} → English", rates) for name, rates in f["to_english"].items()]
    rows.append(cells("**English → HLX**", f["all_to_hlx"]))
    rows.append(cells("**HLX → English**", f["all_to_english"]))
    rows.append(cells("between formats", f["between_formats"]))
    rows.append(cells("training pairs reproduced", f["training_pairs"]))
    return _table(["direction", "exact match", "value match", "parse rate", "samples"], rows)


def _examples(examples: Sequence[Mapping[str, Any]]) -> list[str]:
    columns = ["prompt", "written", "expected" if "expected" in examples[0] else "parses", "right"]
    rows = []
    for e in examples:
        if "expected" in e:
            rows.append([_code(e["prompt"]), _code(e["written"]), _code(e["expected"]), "yes" if e["exact"] else "no"])
        else:
            rows.append([_code(e["prompt"]), _code(e["written"]), "yes" if e["parses"] else "no", ""])
    if "expected" not in examples[0]:
        columns, rows = columns[:3], [row[:3] for row in rows]
    return _table(columns, rows)


def _code(text: str) -> str:
    """Inline code for a table's cell, whatever the model wrote."""
    shown = text.replace("\n", "⏎").replace("\t", "⇥").replace("|", "\\|") or " "
    ticks = "``" if "`" in shown else "`"
    pad = " " if "`" in shown else ""
    return f"{ticks}{pad}{shown}{pad}{ticks}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        "| " + " | ".join(header) + " |",
        "|" + "---|" * len(header),
        *("| " + " | ".join(cell.replace("\n", " ") for cell in row) + " |" for row in rows),
    ]
