"""Gates on a rate: the share of samples that are right."""

from collections.abc import Sequence

from hlx_model.evaluation.intervals import wilson
from hlx_model.evaluation.thresholds import T
from hlx_model.language import Format
from hlx_model.verdicts import GateResult, Outcome


def rate_gate(name: str, what: str, hits: int, samples: int, required: float, good: float) -> GateResult:
    """Fail if a rate is below `required`, warn if it is below `good`; a rate without samples is 0."""
    rate = hits / samples if samples else 0.0
    outcome: Outcome = "pass" if rate >= good else "warn" if rate >= required else "fail"
    reason = f"{what} {rate:.1%} ({hits} of {samples}; required ≥ {required:.0%}, good ≥ {good:.0%})"
    return GateResult(name, outcome, reason, rate, required, samples, wilson(hits, samples))


def worst_format_gate(name: str, what: str, parsed: Sequence[tuple[str, bool]]) -> GateResult:
    """Apply `rate_gate` to the format with the lowest parse rate; warn if nothing is held out in any.

    Args:
        name: of the gate.
        what: the rate.
        parsed: the format of each sample, and whether it parses.
    """
    by_format = {format: [parses for other, parses in parsed if other == format] for format in Format}
    rates = {format: sum(found) / len(found) for format, found in by_format.items() if found}
    if not rates:
        return GateResult(name, "warn", f"{what}: nothing is held out to measure it on", None, T.min_parse_rate)
    worst = min(rates, key=rates.__getitem__)
    what = f"{what} ({', '.join(f'{format} {rate:.0%}' for format, rate in rates.items())}), worst {worst}"
    hits, samples = sum(by_format[worst]), len(by_format[worst])
    return rate_gate(name, what, hits, samples, T.min_parse_rate, T.good_parse_rate)
