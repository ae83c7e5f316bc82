"""The model card of a checkpoint: what it is, can do, was made from and cannot do, from what is on record of it.

Markdown with the front matter of Hugging Face's model cards. How to use it is in `card_use.py`.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hlx_model.evaluation.gates.registry import GATES, GATES_OF_PHASE
from hlx_model.files import write_text
from hlx_model.layout import WEIGHTS, Artifacts
from hlx_model.model.sizes import POSITIONS
from hlx_model.model.tokenizer import VOCABULARY_SIZE
from hlx_model.provenance.record import CheckpointRecord, record_of
from hlx_model.release.card_use import use
from hlx_model.reporting.markdown import (
    between_formats,
    code,
    prose,
    rate_cell,
    table,
    translation,
)
from hlx_model.reporting.numbers import (
    NOTHING,
    finite,
    format_interval,
    format_number,
)

_PHASES = {
    1: "English: it continues sentences",
    2: "HLX: it continues lines in every format of HLX",
    3: "translation: between English and the formats of HLX, and between the formats",
}
_SIGN = {"pass": "✅ pass", "warn": "⚠️ warn", "fail": "❌ fail"}
_FEW = 10
"""Samples below which a kind is not called one of the worst."""
_WORST = 5
"""Kinds that the limits name."""
_LARGEST = 700.0
"""A loss in nats whose perplexity is still a number."""


def card(checkpoint: Path) -> str:
    """The card of a checkpoint that lies in its training's folder.

    Raises `CheckpointError` where it has no manifest, or the report on it is not as it was written or of another one.
    """
    return card_of(record_of(checkpoint))


def write_card(checkpoint: Path) -> Path:
    """Write the card of a checkpoint to its place beside the trainings, and return that."""
    path = Artifacts.of_checkpoint(checkpoint).card(checkpoint)
    write_text(path, card(checkpoint))
    return path


def card_of(record: CheckpointRecord, weights: str | None = None) -> str:
    """The card from what is on record; in a folder that was exported, `weights` is the file that holds them there."""
    m = record.manifest
    lines = [
        *_front_matter(m.phase, record.report is not None),
        f"# HLX Brain, {m.size}, phase {m.phase}: {record.checkpoint.name}",
        "",
        *_banner(record),
        f"A causal transformer over {VOCABULARY_SIZE} characters, trained in three phases. After phase {m.phase} of 3, "
        f"{_PHASES[m.phase]}.",
        "",
    ]
    sections = {
        "What it is": _what(record),
        "What it can do": _can(record),
        "Verdict": _verdict(record),
        "How to use it": use(record, weights),
        "What it was made from": _made_from(record),
        "Limits": _limits(record),
    }
    for title, content in sections.items():
        lines += [f"## {title}", "", *content, ""]
    return "\n".join(lines)


def _front_matter(phase: int, judged: bool) -> list[str]:
    metrics = ["perplexity", *(["exact_match"] if phase == 3 else [])] if judged else []
    lists = {"language": ["en"], "tags": ["hlx", "character-level", f"phase-{phase}"], "metrics": metrics}
    named = [line for key, items in lists.items() if items for line in (f"{key}:", *(f"- {item}" for item in items))]
    return ["---", "library_name: hlx-brain", "pipeline_tag: text-generation", *named, "---", ""]


def _banner(record: CheckpointRecord) -> Iterator[str]:
    """What whoever reads no further must know."""
    objections = list(record.objections())
    if record.by_hand:
        objections.append(f"it goes on from {record.by_hand}, resumed by hand, which no gate asked about")
    if objections:
        yield "> **Read this before you use it:**"
        yield ">"
        yield from (f"> - **{prose(objection)}**" for objection in objections)
        yield ""


def _what(record: CheckpointRecord) -> list[str]:
    m = record.manifest
    a = m.architecture
    # What was written before the seal of the files was recorded lacks their length.
    length = m.files.get(WEIGHTS, {}).get("bytes")
    return _facts({
        "checkpoint": code(record.name),
        "size": f"{m.size}: {m.parameters:,} parameters; {a.d_model} wide, {a.layers} layers, {a.heads} heads, "
        f"{a.ffn} feed-forward",
        "phase": f"{m.phase}, {_PHASES[m.phase]}",
        "stands at": f"{m.kind}, epoch {m.epoch} of {m.epochs}, step {m.step:,}",
        "weights": f"safetensors, {format_number(length)} bytes, SHA-256 {code(m.weights_sha256)}",
        "reads and writes": f"{VOCABULARY_SIZE} symbols, vocabulary {code(m.vocabulary_sha256[:16])}, "
        f"at most {POSITIONS} positions",
    })  # fmt: skip


def _facts(facts: Mapping[str, str]) -> list[str]:
    return table(["", ""], [[name, said] for name, said in facts.items()])


def _no_report(record: CheckpointRecord) -> list[str]:
    why = "It was never judged" if record.verdict is None else "Its report is of another version of this program"
    return [
        f"{why}, so there are no figures. Where it was trained, `hlx validate --checkpoint DIRECTORY` asks it what its "
        "phase is asked; then its card can be written again."
    ]


def _can(record: CheckpointRecord) -> list[str]:
    if record.report is None:
        return _no_report(record)
    f = record.report["figures"]
    said = ["Greedy answers to what was held out of training, with 95% intervals (Wilson).", ""]
    if record.manifest.phase == 3:
        said += [*translation(f), "", "Into English every answer counts as one that parses.", ""]
        said += [*between_formats(f["between"]), ""]
    else:
        said += [*_rates_of_gates(record.report["gates"]), ""]
    return [*said, *_losses(f)]


def _rates_of_gates(gates: Sequence[Mapping[str, Any]]) -> list[str]:
    """What phases 1 and 2 are asked, in which there is no right answer to match."""
    rows = [
        [code(gate["name"]), prose(gate["reason"]), format_interval(gate["interval"]), format_number(gate["samples"])]
        for gate in gates
        if gate["interval"] is not None
    ]  # fmt: skip
    return table(["gate", "figure", "interval (95%)", "samples"], rows)


def _losses(f: Mapping[str, Any]) -> list[str]:
    of = {
        "held-out text": f["held_out_loss"],
        "training text": f["training_loss"],
        "held-out text, by counting symbols (unigram baseline)": f["unigram_baseline"],
        "held-out text, by counting pairs of symbols (bigram baseline)": f["bigram_baseline"],
    }
    return [
        f"Next-token loss, on {format_number(f['held_out_tokens'])} held-out tokens; the corpus has "
        f"{format_number(f['training_tokens'])} to train on.",
        "",
        *table(
            ["on", "loss, nats a token", "perplexity"], [[n, format_number(x), _perplexity(x)] for n, x in of.items()]
        ),
    ]


def _perplexity(loss: object) -> str:
    number = finite(loss)
    return NOTHING if number is None or number > _LARGEST else format_number(math.exp(number))


def _verdict(record: CheckpointRecord) -> list[str]:
    v = record.verdict
    if v is None:
        return _no_report(record)
    rows = [
        [code(gate.name), _SIGN[gate.outcome], prose(gate.reason), format_interval(gate.interval)]
        for gate in v.gates
        if gate.outcome != "pass"
    ]
    passed = [gate.name for gate in v.gates if gate.outcome == "pass"]
    return [
        f"**{_SIGN[v.outcome]}**, gates version {code(v.gates_version)}, of {len(v.gates)} gates "
        f"{len(passed)} passed: {', '.join(map(code, passed)) or NOTHING}.",
        "",
        *(table(["gate", "outcome", "why", "interval (95%)"], rows) or ["None failed or warned."]),
        *(_grade(record.report["grade"]) if record.report else []),
    ]


def _grade(grade: Mapping[str, Any]) -> list[str]:
    parts = [
        [part["name"], f"{format_number(part['points'])} of {part['of']}", prose(part["why"])]
        for part in grade["parts"]
    ]
    points = f"**Grade {grade['letter']}**, {format_number(grade['points'])} of 100 points."
    return ["", points, "", *table(["part", "points", "why"], parts)]


def _made_from(record: CheckpointRecord) -> list[str]:
    m = record.manifest
    versions = {asset: version.data_version for asset, version in m.corpora.items()}
    documents = {d.sha256: d for version in m.corpora.values() for d in version.documents}
    sources = [[code(Path(d.name).name), code(d.sha256), f"{d.bytes:,}"] for d in documents.values()]
    examples = {version.examples for version in m.corpora.values() if version.examples}
    corpora = [*versions.items(), *(("corpus_examples", version) for version in sorted(examples))]
    how = [
        f"**Made although the gate of {code(name)} was closed (`--ungated`).**" for name in m.ungated
    ] + ([f"**Resumed by hand from {code(record.by_hand)}.**"] if record.by_hand else [])  # fmt: skip
    return [
        *(line for said in how for line in (said, "")),
        *(table(["document", "SHA-256", "bytes"], sources) or ["Its documents were not recorded."]),
        "",
        *table(["corpus", "data version (SHA-256 of its rows)"], [[code(a), code(v)] for a, v in corpora]),
        "",
        *(table(["made from", "weights", "handed on by", "verdict now"], list(_ancestors(record)))
          or ["It began from random weights."]),
        "",
        *_facts(_circumstances(record)),
        "",
        *table(["setting", "value"], [[code(name), code(str(value))] for name, value in m.settings.items()]),
    ]  # fmt: skip


def _ancestors(record: CheckpointRecord) -> Iterator[list[str]]:
    for node, handed_on in record.ancestors:
        verdict = node.facts.get("verdict")
        now = "not at hand" if not node.facts["at_hand"] else "never judged" if verdict is None else verdict["outcome"]
        yield [code(node.name), code((node.sha256 or "")[:16]), prose(handed_on), _SIGN.get(now, now)]


def _circumstances(record: CheckpointRecord) -> dict[str, str]:
    m = record.manifest
    commit, dirty = m.code.get("commit"), m.code.get("dirty")
    changed = " **with changes that are in no commit**" if dirty else ""
    return {
        "code": (f"commit {code(commit)}{changed}" if commit else "of no git checkout")
        + f", version {code(str(m.code.get('version', NOTHING)))}",
        "packages": ", ".join(f"{name} {code(version)}" for name, version in m.versions.items()) or NOTHING,
        "device": code(m.device) if m.device else "not recorded",
        "run": code(m.run_id) if m.run_id else "none: the command line",
        "began to train": m.started or "not recorded",
        "written": m.created,
    }


def _limits(record: CheckpointRecord) -> list[str]:
    m = record.manifest
    unasked = [GATES[name] for name in GATES if name not in GATES_OF_PHASE[m.phase]]
    points = [
        f"Only {VOCABULARY_SIZE} symbols: another character is `<UNK>`, which `hlx translate` refuses. English and "
        "HLX, no other language.",
        f"{POSITIONS} positions: prompt and answer together, a character each.",
        "It knows what its corpus says and nothing else. Nobody asked it about facts, safety or bias.",
        *([f"Phase {m.phase} does not translate: that is learned in phase 3."] if m.phase < 3 else []),
        *([f"It was stopped: {prose(m.stopped)}"] if m.stopped else []),
        *_of_report(record),
        f"Not asked of phase {m.phase}: {' '.join(unasked)}",
    ]
    return [*(f"- {point}" for point in points), *_worst(record.report)]


def _of_report(record: CheckpointRecord) -> Iterator[str]:
    if record.verdict is None:
        yield "It was never judged."
        return
    for outcome, what in (("fail", "Failed"), ("warn", "Warned")):
        if names := [code(gate.name) for gate in record.verdict.gates if gate.outcome == outcome]:
            yield f"{what}, for the reasons under Verdict: {', '.join(names)}."
    if record.report is None:
        return
    f = record.report["figures"]
    s = f["sample"]
    yield (
        f"Asked at most: {s['texts']} texts for each loss, {s['prefixes']} sentences to complete, {s['rows']} held-out "
        f"rows in each format and direction, {s['conversions']} in each pair of formats, {s['training']} training "
        "pairs."
    )
    if "held_out_values" in f:
        yield f"{format_number(f['held_out_values'])} values were held out: no figure says more than they can."


def _worst(report: Mapping[str, Any] | None) -> list[str]:
    """The kinds of operation and the lengths at which phase 3 is right least often."""
    if report is None or "by_operation" not in report["figures"]:
        return []
    f = report["figures"]
    tables = [
        table([f"{what}, the worst first", "exact match", "samples"], _lowest(f[name].items()))
        for what, name in (("kind of operation", "by_operation"), ("characters of the answer", "by_length"))
    ]
    return [line for rows in tables if rows for line in ("", *rows)]


def _lowest(kinds: Iterable[tuple[str, Mapping[str, Any]]]) -> list[list[str]]:
    asked = [(name, rates) for name, rates in kinds if rates["samples"]]
    enough = [(name, rates) for name, rates in asked if rates["samples"] >= _FEW] or asked
    lowest = sorted(enough, key=lambda kind: kind[1]["exact_match"])[:_WORST]
    return [[code(name), rate_cell(rates, "exact_match"), format_number(rates["samples"])] for name, rates in lowest]
