"""When a gate warns instead of failing: the model had too little to learn from, or too little is held out to tell.

What a gate may require depends on what the model learned from, and for how long. Nothing here excuses a training that
is damaged: a gate without an excuse is required of every model.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from hlx_model.evaluation.gates import GATES, GATES_OF_PHASE
from hlx_model.evaluation.gates.perplexity import loss_limit
from hlx_model.evaluation.measurements import Measurements
from hlx_model.evaluation.spec import Excuse, GateSpec
from hlx_model.evaluation.thresholds import T
from hlx_model.verdicts import GateResult


def evaluate_gates(m: Measurements) -> list[GateResult]:
    """Return the results of every gate of the phase, in their order."""
    return [evaluate_gate(GATES[name], m) for name in GATES_OF_PHASE[m.record.phase]]


def evaluate_gate(spec: GateSpec, m: Measurements) -> GateResult:
    """Return the result of one gate, as a warning if a reason excuses its failure."""
    result = spec.check(m)
    if spec.inconclusive_if_few:
        result = _warned(result, few_held_out_reason(m))
    for excuse in spec.warns_if:
        if result.outcome == "fail":
            result = _warned(result, _REASONS[excuse](m))
    return result


def _warned(result: GateResult, reason: str | None) -> GateResult:
    """Return the result as a warning with the reason, if there is one."""
    if reason is None:
        return result
    return replace(result, outcome="warn", reason=f"{result.reason}; only a warning, since {reason}")


def few_held_out_reason(m: Measurements) -> str | None:
    """Return why so few held-out values cannot show generalization; None if they can, or if there are no values."""
    if m.held_out_values is None or m.held_out_values >= T.min_held_out_values:
        return None
    return f"only {m.held_out_values} held-out values cannot show generalization (required ≥ {T.min_held_out_values})"


def short_training_reason(m: Measurements) -> str | None:
    """Return why the training was too short to have learned its corpus; None if it was not."""
    steps, tokens, required = m.record.step, _training_tokens(m), T.min_tokens_to_learn[m.writes]
    if tokens is None or steps is None or (steps >= T.min_steps_to_learn and tokens >= required):
        return None
    return f"{steps} steps and {tokens} tokens are too few to require it ({T.min_steps_to_learn} and {required})"


def few_pairs_reason(m: Measurements) -> str | None:
    """Return why a training on so few tokens of pairs was too short to translate; None if it was not."""
    tokens = _training_tokens(m)
    if tokens is None or tokens >= T.min_tokens_to_translate:
        return None
    return f"{tokens} tokens are too few to require it ({T.min_tokens_to_translate})"


def unlearned_reason(m: Measurements) -> str | None:
    """Return why a model with this loss on its training text has not learned to write yet; None if it has.

    Until then greedy text repeats itself, in healthy trainings too.
    """
    loss, limit = m.predictions.training.loss, loss_limit(m.predictions.baselines)
    if loss < limit:
        return None
    return f"a loss of {loss:.2f} nats on training text is too high to write (required < {limit:.2f})"


def _training_tokens(m: Measurements) -> int | None:
    """Return how many tokens the model was trained on; None if that is not recorded, or the training was stopped."""
    r = m.record
    if r.epoch is None or r.step is None or r.stopped is not None:
        return None
    return r.epoch * m.predictions.baselines.train_tokens


_REASONS: Mapping[Excuse, Callable[[Measurements], str | None]] = {
    "few_held_out": few_held_out_reason,
    "short_training": short_training_reason,
    "few_pairs": few_pairs_reason,
    "unlearned": unlearned_reason,
}
