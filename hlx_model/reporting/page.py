"""A report as one HTML page that stands alone: no script, nothing fetched, everything a model wrote escaped."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hlx_model.evaluation.compare import COMPARED
from hlx_model.reporting.charts import rate_bar, rates_bar
from hlx_model.reporting.markup import Markup, element, join
from hlx_model.reporting.numbers import (
    NOTHING,
    answer_found,
    finite,
    format_interval,
    format_number,
    format_percent,
)
from hlx_model.reporting.plots import loss_plot

_SIGNS = {"pass": "✓", "warn": "!", "fail": "✗", "better": "▲", "same": "=", "worse": "▼"}
_PHASES = {1: "English", 2: "HLX", 3: "Translation"}
_MOST_OPERATIONS = 20
"""Operations shown at once; the others are folded."""
_RATES = (
    ("", ""), ("exact match", "wide"), ("exact", "number"), ("interval (95%)", "number"),
    ("value match", "number"), ("parse rate", "number"), ("samples", "number"),
)  # fmt: skip
_RATES_SAID = (
    "Bar: exact match, with its 95% Wilson interval; paler behind it, value match: the parsed value is the one asked "
    "for, however spelled. Into English, any sentence of the same value is exact."
)

Columns = Sequence[tuple[str, str]]


def report_page(report: Mapping[str, Any]) -> str:
    """The HTML of a report, as `report.json` holds it."""
    f = report["figures"]
    sections = {
        "Gates": _gates(report["gates"]),
        "Comparison": _comparison(report["comparison"]),
        "Loss": _loss(report),
        "Translation": _translation(f),
        "Between formats": _between(f),
        "By operation": _by_operation(f),
        "By length": _by_length(f),
        "Gates during training": _milestones(report["milestones"]),
        "The worst answers": _worst(report["worst"]),
        "What it writes": _examples(report["examples"], report["phase"]),
        "Standard prompts": _standard_prompts(f.get("standard_prompts", ())),
        "All figures": _figures(f),
        "Judged on": _judged_on(report),
    }
    shown = {title: content for title, content in sections.items() if content}
    anchors = {title: title.lower().replace(" ", "-") for title in shown}
    links = [element("a", title, href=f"#{anchor}") for title, anchor in anchors.items()]
    body = [element("section", element("h2", title), *shown[title], id=anchors[title]) for title in shown]
    title = f"Phase {report['phase']} report: {report['outcome']} ({report['checkpoint']})"
    return _DOCUMENT.format(
        title=join(title),
        style=Path(__file__).with_name("page.css").read_text(encoding="utf-8"),
        body=join(_header(report), element("nav", *links, aria_label="Sections"), element("main", *body)),
    )


_DOCUMENT = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
{body}
</body>
</html>
"""


def _header(report: Mapping[str, Any]) -> Markup:
    epoch, epochs, step = (format_number(report[name]) for name in ("epoch", "epochs", "step"))
    made = f"{report['size']} · epoch {epoch} of {epochs} · step {step}"
    outcomes = [gate["outcome"] for gate in report["gates"]]
    counted = [f"{outcomes.count(o)} {o}" for o in ("pass", "warn", "fail") if o in outcomes]
    failed = [
        element("li", element("b", gate["name"]), f": {gate['reason']}")
        for gate in report["gates"] if gate["outcome"] == "fail"
    ]  # fmt: skip
    stopped = [element("p", f"Training was stopped: {report['stopped']}", class_="alert")] if report["stopped"] else []
    comparison = report["comparison"]
    compared = [element("p", _badge(comparison["outcome"]), " than the report before")] if comparison else []
    return element(
        "header",
        element(
            "div",
            element("p", "HLX Brain · validation report", class_="over"),
            element("h1", f"Phase {report['phase']}: {_PHASES[report['phase']]}"),
            element("p", made, " · ", report["kind"], class_="made"),
            element("p", _code(report["checkpoint"]), class_="made"),
            element("p", _badge(report["outcome"]), f" {len(outcomes)} gates: {', '.join(counted)}", class_="verdict"),
            *compared,
            *stopped,
            *([element("ul", *failed, class_="alert")] if failed else []),
            _key_figures(report["figures"]),
        ),
        _grade(report["grade"]),
    )


def _key_figures(f: Mapping[str, Any]) -> Markup:
    shown = {"perplexity, held-out": format_number(f["perplexity"])}
    if "all_to_hlx" in f:
        shown["exact, English → HLX"] = format_percent(f["all_to_hlx"]["exact_match"])
        shown["exact, HLX → English"] = format_percent(f["all_to_english"]["exact_match"])
    return element("ul", *(element("li", element("b", n), element("small", what)) for what, n in shown.items()),
                   class_="key")  # fmt: skip


def _grade(grade: Mapping[str, Any]) -> Markup:
    parts = [
        element(
            "li",
            element("span", part["name"], class_="name"),
            element("span", f"{format_number(part['points'])} of {format_number(part['of'])}", class_="number"),
            rate_bar(f"{part['name']}, share of its points", _share(part["points"], part["of"])),
            element("small", part["why"]),
        )
        for part in grade["parts"]
    ]
    points = element("span", format_number(grade["points"]), element("small", " of 100 points"), class_="points")
    letter = element("span", grade["letter"], class_="letter")
    return element("div", element("p", letter, points), element("ul", *parts), class_="grade")


def _share(points: object, of: object) -> float | None:
    got, most = finite(points), finite(of)
    return None if got is None or not most else got / most


def _gates(gates: Sequence[Mapping[str, Any]]) -> list[Markup]:
    columns = (
        ("gate", ""), ("outcome", ""), ("figure", "number"), ("asked", "number"), ("interval (95%)", "number"),
        ("samples", "number"), ("reason", "wide reason"),
    )  # fmt: skip
    rows: list[list[str]] = []
    for gate in gates:
        rate = gate["interval"] is not None
        shown = format_percent if rate else format_number
        name = str(gate["name"])
        bar = rate_bar(name, gate["value"], gate["interval"], threshold=gate["threshold"]) if rate else ""
        rows.append(
            [
                _code(name), _badge(gate["outcome"]), shown(gate["value"]), shown(gate["threshold"]),
                format_interval(gate["interval"]), format_number(gate["samples"] or None), join(bar, gate["reason"]),
            ]
        )  # fmt: skip
    said = "A failed gate blocks what lies downstream; a warning does not. The mark across a bar is what is asked."
    return [_note(said), _table(columns, rows)]


def _comparison(comparison: Mapping[str, Any] | None) -> list[Markup]:
    if comparison is None:
        return [_note("There is no earlier report of this phase to compare with.")]
    columns = (("figure", ""), ("before", "number"), ("now", "number"), ("", ""))
    rows = []
    for name, c in comparison["figures"].items():
        shown = format_number if name.endswith("loss") else format_percent
        rows.append([_code(name), shown(c["before"]), shown(c["now"]), _badge(c["outcome"])])
    against = element("p", _badge(comparison["outcome"]), " than the report before, on ", _code(comparison["with"]))
    return [against, _note(COMPARED), _table(columns, rows, "plain")]


def _loss(report: Mapping[str, Any]) -> list[Markup]:
    said = (
        "Lower is better. The dashed lines are what counting symbols (unigram) and pairs of symbols (bigram) reaches "
        "on held-out text. In training, held-out is the validation split; this report and its gates are on the test "
        "split, which nothing was chosen by."
    )
    return [
        element("figure", loss_plot(report["curve"], report["figures"]), element("figcaption", said), class_="beside")
    ]


def _translation(f: Mapping[str, Any]) -> list[Markup]:
    if "to_hlx" not in f:
        return []
    directions = {f"English → {name}": rates for name, rates in f["to_hlx"].items()}
    directions["English → HLX, all"] = f["all_to_hlx"]
    directions |= {f"{name} → English": rates for name, rates in f["to_english"].items()}
    directions |= {
        "HLX → English, all": f["all_to_english"],
        "format → format, all": f["between_formats"],
        "training pairs, again": f["training_pairs"],
    }
    return [_note(_RATES_SAID), _rates(directions)]


def _between(f: Mapping[str, Any]) -> list[Markup]:
    between = f.get("between", {})
    targets = list(dict.fromkeys(target for row in between.values() for target in row))
    targets.sort(key=lambda target: list(between).index(target) if target in between else len(between))
    if not targets:
        return []
    head = element("tr", element("th", "from ↓ to →", scope="col"), *(element("th", t, scope="col") for t in targets))
    rows = [
        element("tr", element("th", source, scope="row"), *(_heat(row.get(target)) for target in targets))
        for source, row in between.items()
    ]
    table = element("table", element("thead", head), element("tbody", *rows), class_="heat")
    return [
        element("figure", table, element("figcaption", "Exact match, its 95% interval, and the number of samples."))
    ]


def _heat(rates: Mapping[str, Any] | None) -> Markup:
    if rates is None or not rates["samples"]:
        return element("td", NOTHING)
    exact = finite(rates["exact_match"]) or 0.0
    small = [
        element("small", said) for said in (format_interval(rates["exact_match_interval"]), f"of {rates['samples']}")
    ]
    return element("td", element("b", format_percent(rates["exact_match"])), *small, style=f"--heat:{exact * 45:.0f}%")


def _by_operation(f: Mapping[str, Any]) -> list[Markup]:
    operations = f.get("by_operation", {})
    ranked = sorted(operations.items(), key=lambda item: -item[1]["samples"])
    often, others = dict(ranked[:_MOST_OPERATIONS]), dict(ranked[_MOST_OPERATIONS:])
    if not often:
        return []
    folded = [element("details", element("summary", f"{len(others)} more operations"), _rates(others))]
    return [_note("The most frequent first."), _rates(often), *(folded if others else [])]


def _by_length(f: Mapping[str, Any]) -> list[Markup]:
    lengths = f.get("by_length")
    return [_note("Length of the expected answer, in characters."), _rates(lengths)] if lengths else []


def _milestones(milestones: Sequence[Mapping[str, Any]]) -> list[Markup]:
    rows = [
        [
            f"epoch {format_number(milestone['epoch'])}",
            _badge(milestone["outcome"]),
            element("ul", *(element("li", _sign(g["outcome"]), " ", g["reason"]) for g in milestone["gates"])),
        ]
        for milestone in milestones
    ]
    return [_table((("", ""), ("outcome", ""), ("figures", "wide reason")), rows)] if rows else []


def _worst(answers: Sequence[Mapping[str, Any]]) -> list[Markup]:
    said = join(
        "Furthest from what was expected. In the difference, ", element("del", "struck out"),
        " was expected and is missing, ", element("ins", "underlined"), " was written and is wrong.",
    )  # fmt: skip
    return [element("p", said, class_="note"), element("ol", *map(_wrong, answers), class_="worst")] if answers else []


def _wrong(answer: Mapping[str, Any]) -> Markup:
    sign, found = answer_found(answer)
    names = {"equal": "span", "insert": "ins", "delete": "del"}
    marked = [element(names[kind], text) for kind, text in answer["diff"]]
    lines = {"prompt": _code(answer["prompt"]), "expected": _code(answer["expected"])}
    lines |= {"written": _code(answer["written"]), "difference": element("code", *marked)}
    about = [f"{answer['source']} → {answer['target']}", found, f"{format_percent(answer['distance'])} differs"]
    return element(
        "li",
        element("p", element("b", f"{sign} "), " · ".join(about)),
        element("dl", *(element("div", element("dt", name), element("dd", line)) for name, line in lines.items())),
    )


def _examples(examples: Sequence[Mapping[str, Any]], phase: int) -> list[Markup]:
    expected = "expected" if phase == 3 else "in the corpus"
    columns = [("prompt", "wide"), ("written", "wide"), (expected, "wide"), ("", "found")]
    rows = [
        [_code(e["prompt"]), _code(e["written"]), NOTHING if e["expected"] is None else _code(e["expected"]), _found(e)]
        for e in examples
    ]
    said = [] if phase == 3 else [_note("A beginning may go on in many ways: the corpus has one of them.")]
    return [*said, _table(columns, rows)] if rows else []


def _standard_prompts(answers: Sequence[Mapping[str, Any]]) -> list[Markup]:
    by_prompt: dict[str, list[Mapping[str, Any]]] = {}
    for answer in answers:
        by_prompt.setdefault(answer["prompt"], []).append(answer)
    groups = []
    for prompt, asked in by_prompt.items():
        rows = [[a["target"], _code(a["written"]), _found(a)] for a in asked]
        groups += [
            element("h3", _code(prompt)),
            _table((("asked in", ""), ("written", "wide"), ("", "found")), rows, "answers"),
        ]
    return groups


def _figures(f: Mapping[str, Any]) -> list[Markup]:
    numbers = [[_code(name), format_number(value)] for name, value in f.items() if isinstance(value, int | float | str)]
    earlier = [
        [_code(asset), format_number(loss["then"]), format_number(loss["now"])]
        for asset, loss in f.get("earlier_phases", {}).items()
    ]  # fmt: skip
    columns = (("held-out loss on", ""), ("in its own report", "number"), ("now", "number"))
    tables = [_note("Losses in nats a token."), _table((("figure", ""), ("value", "number")), numbers, "plain")]
    return [*tables, *([_table(columns, earlier, "plain")] if earlier else [])]


def _judged_on(report: Mapping[str, Any]) -> list[Markup]:
    rows = [["checkpoint", _code(report["checkpoint"])], ["weights, SHA-256", _code(report["weights_sha256"])]]
    rows += [[f"{asset}, data version", _code(version)] for asset, version in report["corpora"].items()]
    rows.append(["gates, version", _code(report["gates_version"])])
    return [_table((("what", ""), ("which", "wide")), rows, "plain")]


def _rates(named: Mapping[str, Mapping[str, Any]]) -> Markup:
    rows = []
    for name, rates in named.items():
        said = [NOTHING] * 4
        if rates["samples"]:
            said = [format_percent(rates["exact_match"]), format_interval(rates["exact_match_interval"]),
                    format_percent(rates["value_match"]), format_percent(rates["parse_rate"])]  # fmt: skip
        rows.append([name, rates_bar(name, rates), *said, format_number(rates["samples"])])
    return _table(_RATES, rows, "rates")


def _table(columns: Columns, rows: Sequence[Sequence[str]], kind: str | None = None) -> Markup:
    head = element("tr", *(element("th", name, scope="col", class_=kind or None) for name, kind in columns))
    body = []
    for first, *others in rows:
        cells = [
            element("td", cell, class_=kind or None, data_label=name or None)
            for cell, (name, kind) in zip(others, columns[1:], strict=True)
        ]
        body.append(element("tr", element("th", first, scope="row", class_=columns[0][1] or None), *cells))
    return element("table", element("thead", head), element("tbody", *body), class_=kind)


def _found(answer: Mapping[str, Any]) -> str:
    return " ".join(answer_found(answer))


def _badge(outcome: str) -> Markup:
    return element("span", f"{_SIGNS[outcome]} {outcome}", class_=f"badge {outcome}")


def _sign(outcome: str) -> Markup:
    return element("b", _SIGNS[outcome], class_=outcome, title=outcome)


def _code(text: str) -> Markup:
    """A line of HLX, a name or what a model wrote; nothing at all is said to be nothing."""
    return element("code", text) if text else element("em", "nothing")


def _note(text: str) -> Markup:
    return element("p", text, class_="note")
