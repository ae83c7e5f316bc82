"""Whether outputs are free of what broken models write: collapsed, scrambled and repeated text."""

from hlx_model.evaluation.intervals import wilson
from hlx_model.evaluation.spec import GateSpec
from hlx_model.evaluation.thresholds import Thresholds
from hlx_model.evaluation.writing import Outputs
from hlx_model.verdicts import GateResult, Outcome

_EXAMPLE = 60
"""Characters of the output that a reason quotes."""


def broken_texts(name: str, what: str, outputs: Outputs, warned: float, allowed: float) -> GateResult:
    """Warn if more than the share `warned` of the outputs has the fault, fail if more than `allowed` has it.

    Args:
        name: of the detector and of the gate.
        what: the fault, in words.
        outputs: what the detectors found.
        warned: the share above which it warns.
        allowed: the share above which it fails.
    """
    broken = [text for text, detection in outputs.suspects if detection.name == name]
    samples = outputs.samples
    share = len(broken) / samples if samples else 0.0
    reason = f"{what} {outputs.what} {share:.1%} ({len(broken)} of {samples}; required ≤ {allowed:.0%})"
    if broken:
        reason += f", for example {broken[0][:_EXAMPLE]!r}"
    outcome: Outcome = "pass" if share <= warned else "warn" if share <= allowed else "fail"
    return GateResult(name, outcome, reason, share, allowed, samples, wilson(len(broken), samples))


def collapse(outputs: Outputs, t: Thresholds) -> GateResult:
    """Require that few outputs repeat one symbol or one short unit."""
    return broken_texts("collapse", "collapsed", outputs, t.max_broken_share, t.max_broken_share)


def scrambled(outputs: Outputs, t: Thresholds) -> GateResult:
    """Require that few outputs are put together as neither English nor a format puts texts together."""
    return broken_texts("scrambled", "scrambled", outputs, t.max_broken_share, t.max_scrambled_share)


def parroting(outputs: Outputs, t: Thresholds) -> GateResult:
    """Require that few outputs repeat their prompt."""
    return broken_texts("parroting", "parroting", outputs, t.max_broken_share, t.max_broken_share)


COLLAPSE = GateSpec(
    "collapse",
    description="Output does not repeat one symbol or one short unit.",
    requirement="≤ {t.max_broken_share:.0%} of the outputs collapsed",
    needs=("outputs",), check=lambda m: collapse(m.outputs, m.thresholds), position=110,
    warns_if=("short_training", "unlearned"),
)  # fmt: skip
SCRAMBLED = GateSpec(
    "scrambled",
    description="Output is put together as English or a format puts texts together.",
    requirement="≤ {t.max_scrambled_share:.0%} of the outputs scrambled; above {t.max_broken_share:.0%} it warns",
    needs=("outputs",), check=lambda m: scrambled(m.outputs, m.thresholds), position=111,
    warns_if=("short_training", "unlearned"),
)  # fmt: skip
PARROTING = GateSpec(
    "parroting",
    description="Output does not repeat its prompt.",
    requirement="≤ {t.max_broken_share:.0%} of the outputs repeat their prompt",
    needs=("outputs",), check=lambda m: parroting(m.outputs, m.thresholds), position=112,
)  # fmt: skip
