"""Gates on a rate: the share of samples that are right."""

from collections.abc import Mapping, Sequence

from hlx_model.evaluation.intervals import wilson
from hlx_model.verdicts import GateResult, Outcome


def rate_gate(name: str, what: str, hits: int, samples: int, required: float, good: float) -> GateResult:
    """Fail if a rate is below `required`, warn if it is below `good`; a rate without samples is 0."""
    rate = hits / samples if samples else 0.0
    outcome: Outcome = "pass" if rate >= good else "warn" if rate >= required else "fail"
    reason = f"{what} {rate:.1%} ({hits} of {samples}; required ≥ {required:.0%}, good ≥ {good:.0%})"
    return GateResult(name, outcome, reason, rate, required, samples, wilson(hits, samples))


def worst_format_gate(
    name: str, what: str, hits: Mapping[str, Sequence[bool]], required: float, good: float
) -> GateResult:
    """Apply `rate_gate` to the format with the lowest rate; warn if nothing is held out in any.

    Args:
        name: of the gate.
        what: the rate.
        hits: by format, whether each sample is right.
        required: the rate below which it fails.
        good: the rate below which it warns.
    """
    measured = {format: found for format, found in hits.items() if found}
    if not measured:
        return GateResult(name, "warn", f"{what}: nothing is held out to measure it on", None, required)
    rates = {format: sum(found) / len(found) for format, found in measured.items()}
    worst = min(rates, key=rates.__getitem__)
    each = ", ".join(f"{format} {rate:.0%}" for format, rate in rates.items())
    hits_of_worst = measured[worst]
    return rate_gate(name, f"{what} ({each}), worst {worst}", sum(hits_of_worst), len(hits_of_worst), required, good)
