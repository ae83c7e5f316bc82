"""The gates of a finished training: what each phase is asked.

Figures are taken on the test split, over a stated number of seeded samples, greedy unless it says
otherwise. A corpus with few held-out rows cannot show generalization: there such gates warn and say so,
and only what a small corpus can show may fail.
"""

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from hlx_model.corpus import ENGLISH, parses, prompt
from hlx_model.evaluation import detectors
from hlx_model.evaluation.detectors import Detection, diagnose
from hlx_model.evaluation.gates.registry import DETECTED
from hlx_model.evaluation.intervals import wilson
from hlx_model.evaluation.losses import UNIFORM_LOSS, Baselines, Prediction
from hlx_model.evaluation.thresholds import Thresholds
from hlx_model.evaluation.translation import Answer, Score, score
from hlx_model.language import Format
from hlx_model.model.generation import generate
from hlx_model.model.transformer import Transformer
from hlx_model.verdicts import GateResult, Outcome

Row = TypeVar("Row")

STANDARD_PROMPTS = (
    "Search for documents",
    "Filter active users",
    "HLX: search documents",
    "HLXL: SEARCH documents WHERE status = active",
    'LC-R: 🜊1000🜁0 "search"🜁1',
    "Map each item to its name",
    "Sort users by age descending",
    "Count the items",
)
"""The failure report's five and the guide's three (`seeds`)."""


def few_held_out_reason(values: int) -> str:
    """The sentence that a report says of a corpus with too little held out."""
    return f"only {values} held-out values: so few cannot show generalization, so this is a warning at most"


def downgrade_to_warning(gates: Iterable[GateResult], names: Sequence[str], reason: str | None) -> list[GateResult]:
    """The gates, where those of these names warn and give the reason, if there is one, instead of failing."""
    return [
        replace(gate, outcome="warn", reason=f"{gate.reason}; {reason}")
        if reason and gate.outcome == "fail" and gate.name in names
        else gate
        for gate in gates
    ]


def short_training_reason(phase: int, steps: int, tokens: int, t: Thresholds) -> str | None:
    """Why a training of so many optimizer steps and tokens is excused from `LEARNED`, or None."""
    least = t.min_tokens_to_learn[phase]
    if steps >= t.min_steps_to_learn and tokens >= least:
        return None
    enough = f"{t.min_steps_to_learn} and {least} are enough"
    return f"{steps} steps and {tokens} tokens are too few to ask it for sure: {enough}"


def short_translation_reason(tokens: int, t: Thresholds) -> str | None:
    """Why a training of so many tokens of pairs is excused from `TRANSLATING`, or None."""
    if tokens >= t.min_tokens_to_translate:
        return None
    return f"{tokens} tokens are too few to ask it for sure: {t.min_tokens_to_translate} are enough"


def unlearned_reason(seen: Prediction, base: Baselines, t: Thresholds) -> str | None:
    """Why a model with this loss on its training text is excused from `WRITING`, or None."""
    limit = learned_below(base, t)
    if seen.loss < limit:
        return None
    return f"the loss on training text is {seen.loss:.2f} nats: only below {limit:.2f} has it learned to write"


def learned_below(base: Baselines, t: Thresholds) -> float:
    """The loss in nats below which a model knows more of a language than its symbols and pairs of symbols."""
    return min(base.unigram - t.min_gain_over_unigram, base.bigram - t.min_gain_over_bigram)


def training_completed(kind: str, epoch: int, epochs: int, stopped: str | None) -> GateResult:
    """Fails for a STOPPED checkpoint, by its reason; warns for one from the middle of a training."""
    if stopped:
        return GateResult(
            "training_completed", "fail", f"stopped at epoch {epoch} of {epochs}: {stopped}", epoch, epochs
        )
    if kind != "FINAL":
        reason = f"an intermediate checkpoint, of epoch {epoch} of {epochs}"
        return GateResult("training_completed", "warn", reason, epoch, epochs)
    return GateResult("training_completed", "pass", f"came to its last epoch, {epochs}", epoch, epochs)


def lineage(ungated: Sequence[str]) -> GateResult:
    """Warns, for good, of what was trained from a checkpoint whose gate was closed (`--ungated`)."""
    if ungated:
        return GateResult(
            "lineage", "warn", f"trained from {', '.join(ungated)} although the gate was closed (--ungated)"
        )
    return GateResult("lineage", "pass", "every checkpoint that it was made from had passed its gates")


def perplexity(unseen: Prediction, seen: Prediction, base: Baselines, t: Thresholds) -> GateResult:
    """Held-out loss against the corpus's own unigram and bigram baselines; `seen` is of the training text."""
    limit = learned_below(base, t)
    reason = (
        f"held-out loss {unseen.loss:.3f} nats (perplexity {unseen.perplexity:.2f}); unigram baseline "
        f"{base.unigram:.3f}, bigram {base.bigram:.3f}; below {limit:.3f} is asked"
    )
    outcome: Outcome = "pass"
    if not unseen.loss < limit:
        outcome = "fail"
        if base.train_tokens < t.min_training_tokens and seen.loss < UNIFORM_LOSS:
            outcome = "warn"
            reason += f"; {base.train_tokens} training tokens are too few to ask it for sure"
    return GateResult("perplexity", outcome, reason, unseen.loss, limit, unseen.tokens)


def rate_gate(
    name: str, what: str, hits: int, samples: int, fail: float, warn: float, *, lenient: str | None = None
) -> GateResult:
    """A rate that must reach `fail`, and should reach `warn`; `lenient` (a reason) makes it warn at most."""
    rate = hits / samples if samples else 0.0
    outcome: Outcome = "pass" if rate >= warn else "warn" if rate >= fail else "fail"
    reason = f"{what}: {rate:.1%} ({hits} of {samples}); at least {fail:.0%} is asked, {warn:.0%} is good"
    if lenient:
        outcome, reason = "warn", f"{reason}; {lenient}"
    return GateResult(name, outcome, reason, rate, fail, samples, wilson(hits, samples))


def broken_texts(
    what: str, texts: Sequence[str], findings: Sequence[Detection | None], samples: int, t: Thresholds
) -> list[GateResult]:
    """A gate a detector: the share of `samples` outputs that it found; `findings` are of those that may be broken."""
    limits = {"collapse": t.max_broken_share, "scrambled": t.max_scrambled_share, "parroting": t.max_broken_share}
    gates = []
    for name, seen in DETECTED.items():
        bad = [text for text, finding in zip(texts, findings, strict=True) if finding and finding.name == name]
        rate = len(bad) / samples if samples else 0.0
        reason = f"{what} that {seen}: {rate:.1%} ({len(bad)} of {samples}); at most {limits[name]:.0%} is asked"
        if bad:
            reason += f"; for example {bad[0][:60]!r}"
        outcome: Outcome = "pass" if rate <= t.max_broken_share else "warn" if rate <= limits[name] else "fail"
        gates.append(GateResult(name, outcome, reason, rate, limits[name], samples, wilson(len(bad), samples)))
    return gates


def diversity(model: Transformer, corpus_texts: int, samples: int = 64) -> GateResult:
    """Sample texts from nothing, at temperature 1; they must differ about as texts of the corpus would."""
    found = detectors.diversity(generate(model, [""] * samples, temperature=1.0, max_new_tokens=64), corpus_texts)
    outcome: Outcome = "fail" if found.found else "pass"
    return GateResult(found.name, outcome, found.reason, found.figure, found.threshold, samples)


def free_running(
    model: Transformer, held_out: Sequence[str], words: set[str], t: Thresholds
) -> tuple[list[GateResult], list[dict[str, Any]]]:
    """Phase 1: complete the first words of held-out sentences and of the standard English prompts."""
    prefixes = [" ".join(text.split()[: max(1, len(text.split()) // 2)]) for text in held_out]
    rests = [text[len(prefix) :] for text, prefix in zip(held_out, prefixes, strict=True)]
    standard = [p for p in STANDARD_PROMPTS if ":" not in p]
    prefixes = standard + prefixes
    written = generate(model, prefixes, max_new_tokens=64)
    examples: list[dict[str, Any]] = []
    for prefix, rest, text in zip(prefixes, [*[None] * len(standard), *rests], written, strict=True):
        # A continuation may finish the prefix's last word, which then counts; the prefix's own words do not.
        finished = prefix[-1:].isalpha() and text[:1].isalpha()
        found = words_of(prefix + text)[len(words_of(prefix)) - finished :]
        known = sum(word in words for word in found)
        examples.append({"prompt": prefix, "expected": rest, "written": text, "words": len(found), "known": known})
    number, known = (sum(example[name] for example in examples) for name in ("words", "known"))
    findings = [diagnose(prefix, text) for prefix, text in zip(prefixes, written, strict=True)]
    return [
        rate_gate("words", "words written that the corpus has", known, number, t.min_word_rate, t.good_word_rate),
        *broken_texts("texts", written, findings, len(written), t),
    ], examples


def words_of(text: str) -> list[str]:
    """The runs of letters of a text."""
    return re.findall(r"[A-Za-z]+", text)


def completions(
    model: Transformer, rows: Iterable[Mapping[str, Any]], lenient: str | None, t: Thresholds
) -> tuple[list[GateResult], list[dict[str, Any]]]:
    """Phase 2: complete the first half of held-out lines; every format's completions must parse."""
    rows = [row for row in rows if len(row["text"]) >= 4]
    prefixes = [row["text"][: len(row["text"]) // 2] for row in rows]
    written = generate(model, prefixes, max_new_tokens=160)
    parsed: dict[str, list[bool]] = {str(format): [] for format in Format}
    examples = []
    for row, prefix, text in zip(rows, prefixes, written, strict=True):
        ok = parses(prefix + text, Format(row["format"]))
        parsed[row["format"]].append(ok)
        rest = row["text"][len(prefix) :]
        examples.append({"format": row["format"], "prompt": prefix, "expected": rest, "written": text, "parses": ok})
    gate = _worst_format(
        "completions_parse", "completions that parse", parsed, t.min_parse_rate, t.good_parse_rate, lenient
    )
    whole = [prefix + text for prefix, text in zip(prefixes, written, strict=True)]
    findings = [diagnose("", text) for text in whole]  # nothing was given but the line's own beginning
    return [gate, *broken_texts("completions", whole, findings, len(whole), t)], examples


def _worst_format(
    name: str, what: str, hits: Mapping[str, Sequence[bool]], fail: float, warn: float, lenient: str | None
) -> GateResult:
    asked = {format: list(found) for format, found in hits.items() if found}
    if not asked:
        return GateResult(name, "warn", f"{what}: nothing held out to ask", None, fail)
    worst = min(asked, key=lambda format: sum(asked[format]) / len(asked[format]))
    rates = ", ".join(f"{format} {sum(found) / len(found):.0%}" for format, found in asked.items())
    return rate_gate(
        name,
        f"{what} ({rates}), worst {worst}",
        sum(asked[worst]),
        len(asked[worst]),
        fail,
        warn,
        lenient=lenient,
    )


def translation(
    held_out: Sequence[Answer], training: Sequence[Answer], lenient: str | None, t: Thresholds
) -> list[GateResult]:
    """Phase 3: parse rate, exact match in both directions, training pairs reproduced, detectors."""
    to_hlx = [a for a in held_out if a.source == ENGLISH]
    to_english = [a for a in held_out if a.target == ENGLISH]
    parsed: dict[str, list[bool]] = {str(format): [] for format in Format}
    for answer in to_hlx:
        parsed[answer.target].append(answer.parses)
    hlx, english, reproduced = score(to_hlx), score(to_english), score(training)
    wrong = [a for a in (*to_hlx, *to_english) if not a.exact]
    findings = [diagnose(a.given, a.written, a.expected) for a in wrong]
    return [
        _worst_format(
            "parse_rate", "English→HLX answers that parse", parsed, t.min_parse_rate, t.good_parse_rate, lenient,
        ),
        _exact(
            "exact_match_to_hlx", "English→HLX exact match", hlx,
            t.min_exact_match_to_hlx, t.good_exact_match_to_hlx, lenient,
        ),
        _exact(
            "exact_match_to_english", "HLX→English exact match", english,
            t.min_exact_match_to_english, t.good_exact_match_to_english, lenient,
        ),
        _exact(
            "training_pairs", "training pairs reproduced", reproduced, t.min_training_pairs, t.good_training_pairs, None
        ),
        *broken_texts("answers", [a.written for a in wrong], findings, len(to_hlx) + len(to_english), t),
    ]  # fmt: skip


def _exact(name: str, what: str, found: Score, fail: float, warn: float, lenient: str | None) -> GateResult:
    return rate_gate(name, what, found.exact, found.samples, fail, warn, lenient=lenient)


def standard_prompts(model: Transformer, lenient: str | None, t: Thresholds) -> tuple[GateResult, list[dict[str, Any]]]:
    """The standard prompts, asked with the tag of each format: an answer is a line that parses in it."""
    asked = [(format, text) for text in STANDARD_PROMPTS for format in Format]
    written = generate(model, [prompt(format, text) for format, text in asked], max_new_tokens=96)
    answers = [
        {"target": str(format), "prompt": text, "written": answer, "parses": parses(answer, format)}
        for (format, text), answer in zip(asked, written, strict=True)
    ]
    hits = sum(bool(answer["parses"]) for answer in answers)
    what = "standard prompts answered with a line that parses"
    return rate_gate(
        "standard_prompts",
        what,
        hits,
        len(answers),
        t.min_standard_prompt_parse_rate,
        t.good_standard_prompt_parse_rate,
        lenient=lenient,
    ), answers


def not_forgotten(
    losses: Mapping[str, tuple[float, float]], replay: float, t: Thresholds, *, lenient: str | None = None
) -> GateResult:
    """Earlier phases' held-out loss now, against what their own checkpoints had: `{asset: (now, then)}`."""
    worst = max(losses, key=lambda asset: losses[asset][0] - losses[asset][1])
    rise = losses[worst][0] - losses[worst][1]
    reason = "held-out loss of the phases before: " + ", ".join(
        f"{asset} {then:.2f} then, {now:.2f} now" for asset, (now, then) in losses.items()
    )
    reason += f"; a rise of at most {t.max_forgetting:g} nats is asked"
    outcome: Outcome = "pass" if rise <= t.max_forgetting else "fail" if replay > 0 else "warn"
    if outcome == "warn":
        reason += "; nothing is replayed, so this is expected"
    elif outcome == "fail" and lenient:
        outcome, reason = "warn", f"{reason}; {lenient}"
    return GateResult("not_forgotten", outcome, reason, rise, t.max_forgetting)


def pick(rows: Sequence[Row], samples: int, seed: int) -> list[Row]:
    """`samples` of the rows or texts at most, seeded, in their order."""
    if len(rows) <= samples:
        return list(rows)
    return [rows[i] for i in sorted(random.Random(seed).sample(range(len(rows)), samples))]
