"""Whether completed lines parse."""

from collections.abc import Sequence

from hlx_model.evaluation.fitness import stated, stated_by_heart
from hlx_model.evaluation.rate_gate import worst_format_gate
from hlx_model.evaluation.spec import GateSpec
from hlx_model.language import Format
from hlx_model.reporting.models import Completion
from hlx_model.verdicts import GateResult, Limit


def completions_parse(completions: Sequence[Completion], limit: Limit) -> GateResult:
    """Require that completed lines parse, in the format in which fewest do."""
    lines = [(Format(c.format), c.prompt + c.expected, c.parses) for c in completions]
    return worst_format_gate("completions_parse", "parse rate of completions", lines, limit)


COMPLETIONS_PARSE = GateSpec(
    "completions_parse", description="Completions of HLX lines parse, in each format.",
    requirement=f"parse rate of test lines in the worst of the formats, of lines that no other writes alike, "
    f"{stated('completions_parse')}",
    by_heart=f"that of training lines {stated_by_heart('completions_parse')}",
    needs=("completions", "fitness"),
    check=lambda m: completions_parse(m.completions, m.fitness.limits["completions_parse"]),
    writes=("completions",), position=61, mended_by_training=True,
)  # fmt: skip
