"""Whether outputs are free of what broken models write: collapsed, scrambled and repeated text."""

from hlx_model.evaluation.detectors import Fault, Outputs
from hlx_model.evaluation.intervals import wilson
from hlx_model.evaluation.spec import GateSpec
from hlx_model.evaluation.thresholds import T
from hlx_model.verdicts import GateResult, against

_EXAMPLE = 60
"""Characters of the output that a reason quotes."""


def broken_texts(name: Fault, what: str, outputs: Outputs, allowed: float = T.max_broken_share) -> GateResult:
    """Require that few outputs have a fault: warn above `max_broken_share`, fail if more than `allowed` have it.

    Args:
        name: of the fault and of the gate.
        what: the outputs that have it: "collapsed".
        outputs: what the detectors found.
        allowed: the share above which it fails.
    """
    broken = [text for text, fault in outputs.faults if fault == name]
    samples = outputs.samples
    share = len(broken) / samples if samples else 0.0
    found = against(share, allowed, T.max_broken_share, at_most=True)
    reason = f"{what} {outputs.what} {found.rate} ({len(broken)} of {samples}; {found.limits})"
    if broken:
        reason += f", for example {broken[0][:_EXAMPLE]!r}"
    return GateResult(name, found.outcome, reason, share, found.threshold, samples, wilson(len(broken), samples))


COLLAPSE = GateSpec(
    "collapse", description="Output does not repeat one symbol or one short unit.",
    requirement=f"≤ {T.max_broken_share:.0%} of the outputs collapsed",
    needs=("outputs",), check=lambda m: broken_texts("collapse", "collapsed", m.outputs), position=110,
    mended_by_training=True,
)  # fmt: skip
SCRAMBLED = GateSpec(
    "scrambled", description="Output is put together as English or a format puts texts together.",
    requirement=f"≤ {T.max_scrambled_share:.0%} of the outputs scrambled (good ≤ {T.max_broken_share:.0%})",
    needs=("outputs",), check=lambda m: broken_texts("scrambled", "scrambled", m.outputs, T.max_scrambled_share),
    position=111, mended_by_training=True,
)  # fmt: skip
PARROTING = GateSpec(
    "parroting", description="Output does not repeat its prompt.",
    requirement=f"≤ {T.max_broken_share:.0%} of the outputs repeat their prompt",
    needs=("outputs",), check=lambda m: broken_texts("parroting", "parroting", m.outputs), position=112,
)  # fmt: skip
