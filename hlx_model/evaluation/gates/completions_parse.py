"""Whether completed lines parse."""

from collections.abc import Sequence

from hlx_model.evaluation.rate_gate import worst_format_gate
from hlx_model.evaluation.spec import GateSpec
from hlx_model.evaluation.thresholds import T
from hlx_model.reporting.models import Completion
from hlx_model.verdicts import GateResult


def completions_parse(completions: Sequence[Completion]) -> GateResult:
    """Require that completions of held-out lines parse, in the format in which fewest do."""
    parsed = [(c.format, c.parses) for c in completions]
    return worst_format_gate("completions_parse", "parse rate of completions", parsed)


COMPLETIONS_PARSE = GateSpec(
    "completions_parse", description="Completions of held-out HLX lines parse, in each format.",
    requirement=f"parse rate ≥ {T.min_parse_rate:.0%} in the worst of the formats (good ≥ {T.good_parse_rate:.0%})",
    needs=("completions",), check=lambda m: completions_parse(m.completions), writes=("completions",), position=61,
    warns_if=("short_training", "unlearned"), inconclusive_if_few=True,
)  # fmt: skip
