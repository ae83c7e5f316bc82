"""Gates on a rate: the share of samples that are right.

Formats are told apart by the lines that no other format writes alike. A model that never learned LC-R writes half of
the lines of a small corpus as LC-R does: many are texts and names.
"""

from collections.abc import Sequence

from hlx_model.evaluation.intervals import wilson
from hlx_model.language import Format, parse, render
from hlx_model.verdicts import GateResult, Limit, against


def rate_gate(name: str, what: str, hits: int, samples: int, limit: Limit) -> GateResult:
    """Fail if a rate is below what is required, warn if it is below what is good; a rate without samples is 0."""
    rate = hits / samples if samples else 0.0
    found = against(rate, limit.required, limit.good)
    reason = f"{what} {found.rate} ({hits} of {samples}; {found.limits})"
    return GateResult(name, found.outcome, reason, rate, found.threshold, samples, wilson(hits, samples))


def not_required(name: str, what: str, hits: int, samples: int, why: str) -> GateResult:
    """Return a warning that states a rate, if it has samples, and why nothing is required of it."""
    if not samples:
        return GateResult(name, "warn", why)
    rate = hits / samples
    reason = f"{why}; {what} {rate:.1%} ({hits} of {samples})"
    return GateResult(name, "warn", reason, rate, None, samples, wilson(hits, samples))


def left_behind(samples: Sequence[tuple[Format, str, bool]], least: float) -> str | None:
    """Return that a format is right in less than a share of what the best one is, beyond chance; None if none is.

    Args:
        samples: the format of each, its line, and whether it is right.
        least: the share.
    """
    by_format = _by_format(samples)
    best = max(by_format, key=lambda format: _rate(by_format[format]), default=None)
    for format, found in by_format.items():
        if best is not None and wilson(sum(found), len(found))[1] < least * _rate(by_format[best]):
            return f"{format} {_rate(found):.0%} (required ≥ {least:.0%} of {best}, {_rate(by_format[best]):.0%})"
    return None


def worst_format_gate(name: str, what: str, samples: Sequence[tuple[Format, str, bool]], limit: Limit) -> GateResult:
    """Apply `rate_gate` to the format with the lowest parse rate; warn if there are no samples in any.

    Args:
        name: of the gate.
        what: the rate.
        samples: the format of each, its line, and whether what the model wrote parses.
        limit: of the rate.
    """
    by_format = _by_format(samples)
    rates = {format: _rate(found) for format, found in by_format.items()}
    if not rates:
        return GateResult(name, "warn", f"{what}: there is nothing to measure it on")
    worst = min(rates, key=rates.__getitem__)
    what = f"{what} ({', '.join(f'{format} {rate:.0%}' for format, rate in rates.items())}), worst {worst}"
    return rate_gate(name, what, sum(by_format[worst]), len(by_format[worst]), limit)


def _by_format(samples: Sequence[tuple[Format, str, bool]]) -> dict[Format, list[bool]]:
    """Return what is right of the lines that only their format writes so, of each format that has some."""
    own = [(format, is_right) for format, line, is_right in samples if _only_in(format, line)]
    found = {format: [is_right for other, is_right in own if other is format] for format in Format}
    return {format: samples_of_it for format, samples_of_it in found.items() if samples_of_it}


def _only_in(format: Format, line: str) -> bool:
    """Return whether no other format writes the value of a line as the same line, as HLXL and LC-T write `"hello"`."""
    value = parse(line, format)
    return all(render(value, other) != line for other in Format if other is not format)


def _rate(found: Sequence[bool]) -> float:
    return sum(found) / len(found)
