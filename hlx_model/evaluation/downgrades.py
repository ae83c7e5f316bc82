"""When a gate warns instead of failing: the model had too little to learn from, or too little is held out to tell.

What a gate may require depends on what the model learned from, and for how long. Nothing here excuses a training that
is damaged: a gate without an excuse is required of every model.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from hlx_model.evaluation.gates import GATES, GATES_OF_PHASE
from hlx_model.evaluation.gates.perplexity import loss_limit
from hlx_model.evaluation.measurements import Measurements
from hlx_model.evaluation.prediction import Baselines, Prediction
from hlx_model.evaluation.spec import Excuse, GateSpec
from hlx_model.evaluation.target import EvaluationTarget
from hlx_model.evaluation.thresholds import Thresholds
from hlx_model.phases import PHASES
from hlx_model.verdicts import GateResult


def evaluate_gates(m: Measurements) -> list[GateResult]:
    """Return the results of every gate of the phase, in their order."""
    return [evaluate_gate(GATES[name], m) for name in GATES_OF_PHASE[m.record.phase]]


def evaluate_gate(spec: GateSpec, m: Measurements) -> GateResult:
    """Return the result of one gate, as a warning if a reason excuses its failure."""
    result, t = spec.check(m), m.thresholds
    if spec.inconclusive_if_few and (reason := few_held_out_reason(m.held_out_values, t)):
        result = warned(result, reason)
    for excuse in spec.warns_if:
        result = downgraded(result, _REASONS[excuse](m))
    return result


def warned(result: GateResult, reason: str) -> GateResult:
    """Return the result as a warning, with the reason."""
    return replace(result, outcome="warn", reason=f"{result.reason}; only a warning, since {reason}")


def downgraded(result: GateResult, reason: str | None) -> GateResult:
    """Return a failed result as a warning with the reason, if there is one; any other result as it is."""
    return warned(result, reason) if reason and result.outcome == "fail" else result


def few_held_out_reason(values: int | None, t: Thresholds) -> str | None:
    """Return why so few held-out values cannot show generalization; None if they can, or if there are no values."""
    if values is None or values >= t.min_held_out_values:
        return None
    return f"only {values} held-out values cannot show generalization (required ≥ {t.min_held_out_values})"


def short_training_reason(record: EvaluationTarget, tokens: int | None, t: Thresholds) -> str | None:
    """Return why a training of that many tokens was too short to have learned its corpus; None if it was not."""
    required = t.min_tokens_to_learn[PHASES[record.phase].writes]
    if tokens is None or record.step is None or (record.step >= t.min_steps_to_learn and tokens >= required):
        return None
    return f"{record.step} steps and {tokens} tokens are too few to require it ({t.min_steps_to_learn} and {required})"


def short_translation_reason(tokens: int | None, t: Thresholds) -> str | None:
    """Return why a training of that many tokens of pairs was too short to translate; None if it was not."""
    if tokens is None or tokens >= t.min_tokens_to_translate:
        return None
    return f"{tokens} tokens are too few to require it ({t.min_tokens_to_translate})"


def unlearned_reason(training: Prediction, baselines: Baselines, t: Thresholds) -> str | None:
    """Return why a model with this loss on its training text has not learned to write yet; None if it has.

    Until then greedy text repeats itself, in healthy trainings too.
    """
    limit = loss_limit(baselines, t)
    if training.loss < limit:
        return None
    return f"a loss of {training.loss:.2f} nats on training text is too high to write (required < {limit:.2f})"


def _training_tokens(m: Measurements) -> int | None:
    """Return how many tokens the model was trained on; None if that is not recorded, or the training was stopped."""
    r = m.record
    if r.epoch is None or r.step is None or r.stopped is not None:
        return None
    return r.epoch * m.predictions.baselines.train_tokens


_REASONS: Mapping[Excuse, Callable[[Measurements], str | None]] = {
    "few_held_out": lambda m: few_held_out_reason(m.held_out_values, m.thresholds),
    "short_training": lambda m: short_training_reason(m.record, _training_tokens(m), m.thresholds),
    "few_pairs": lambda m: short_translation_reason(_training_tokens(m), m.thresholds),
    "unlearned": lambda m: unlearned_reason(m.predictions.training, m.predictions.baselines, m.thresholds),
}
