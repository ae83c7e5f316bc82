"""Whether completed lines parse."""

from collections.abc import Sequence

from hlx_model.evaluation.rate_gate import worst_format_gate
from hlx_model.evaluation.spec import GateSpec
from hlx_model.evaluation.thresholds import Thresholds
from hlx_model.language import Format
from hlx_model.reporting.models import Completion
from hlx_model.verdicts import GateResult


def completions_parse(completions: Sequence[Completion], t: Thresholds) -> GateResult:
    """Require that completions of held-out lines parse, in the format in which fewest do."""
    parsed = {str(format): [c.parses for c in completions if c.format == format] for format in Format}
    return worst_format_gate(
        "completions_parse", "parse rate of completions", parsed, t.min_parse_rate, t.good_parse_rate
    )


COMPLETIONS_PARSE = GateSpec(
    "completions_parse",
    description="Completions of held-out HLX lines parse, in each format.",
    requirement="parse rate ≥ {t.min_parse_rate:.0%} in the worst of the formats (good ≥ {t.good_parse_rate:.0%})",
    needs=("completions",), check=lambda m: completions_parse(m.completions, m.thresholds),
    writes=("completions",), position=61, warns_if=("short_training", "unlearned"), inconclusive_if_few=True,
)  # fmt: skip
