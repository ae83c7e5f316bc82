"""Compare a checkpoint with models of others on the same rows; write `baselines.json` and `sample.jsonl`.

    compare(checkpoint, client, choices, prices, examples, own_cost(usd_per_hour=2.0))

`sample.jsonl` has a line for each row, as Inspect's `json_dataset` reads it: input, target, id and metadata, where the
answers of all models are.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hlx_model.baselines.ask import Reply, ask_model
from hlx_model.baselines.own import OwnCost, own_replies
from hlx_model.baselines.questions import messages_for
from hlx_model.baselines.sample import Sample, draw_sample
from hlx_model.baselines.table import TokenPrice, model_of, own_model
from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.checkpoints.weights import load_model
from hlx_model.corpus import store
from hlx_model.evaluation.documents import KeptExamples, kept_for
from hlx_model.evaluation.evaluate import documents_of
from hlx_model.files import utc_now, write_json, write_lines
from hlx_model.layout import BASELINES, BASELINES_SAMPLE, EVALUATION, Artifacts
from hlx_model.phases import PHASES
from hlx_model.providers.question import Choice, Client
from hlx_model.reporting.baselines import Baselines

SENTENCES = 25
"""Sentences of each source, by default: 100 rows of each, and as many calls to each model."""
MAX_TOKENS = 2048
"""Of an answer, by default; models that reason need more than the value takes."""
_SHOWN = 1000
"""Characters of a wrong answer that are written down."""


@dataclass(frozen=True)
class Comparison:
    """What was written."""

    directory: Path
    baselines: Baselines


def compare(
    checkpoint: Path, client: Client, choices: Sequence[Choice], prices: Callable[[Choice], TokenPrice | None],
    examples: KeptExamples, cost: OwnCost, *,
    sentences: int = SENTENCES, max_tokens: int = MAX_TOKENS, device: str = "cpu", session: str | None = None,
) -> Comparison:  # fmt: skip
    """Measure our model and others on a sample of held-out rows and of the evaluation.

    Args:
        checkpoint: the directory of one that translates.
        client: who asks.
        choices: the other models, each once.
        prices: returns the price of a model; None if it is not known.
        examples: kept evaluation examples, or why there are none.
        cost: of our machine.
        sentences: of each source.
        max_tokens: of an answer, its reasoning included.
        device: what our model is measured on.
        session: what the ledger books the calls to.

    Raises:
        ValueError: the checkpoint or its corpus cannot be used, or no other model answered a single row; then nothing
            is written.
    """
    verified = verify_checkpoint(checkpoint)
    manifest = verified.manifest
    if PHASES[manifest.phase].writes != "translations":
        raise ValueError(f"{checkpoint}: a model of phase {manifest.phase} does not translate: name one of phase 3")
    artifacts, asset = Artifacts.of_checkpoint(checkpoint), PHASES[manifest.phase].corpus
    corpus = store.read(artifacts.root / manifest.corpora[asset].path)
    evaluation = kept_for(examples, documents_of(manifest))
    sample = draw_sample(store.load(corpus), evaluation.documents, sentences)
    name = f"{manifest.training_id}/{checkpoint.name}"
    own = own_replies(load_model(verified, device), sample.rows)
    models, replies = [own_model(name, own, cost)], {name: own.replies}
    for choice in choices:
        found = ask_model(client, choice, sample, max_tokens=max_tokens, session=session)
        models.append(model_of(choice, found, prices(choice)))
        replies[str(choice)] = found.replies
    if not any(model.samples for model in models if not model.own):
        reasons = "; ".join(f"{model.name}: {model.note}" for model in models if not model.own)
        raise ValueError(f"no other model answered: {reasons or 'none is named'}")
    versions = {asset: corpus.version}
    if evaluation.documents is not None:
        versions[EVALUATION] = evaluation.documents.data_version
    made = Baselines(
        time=utc_now(), checkpoint=name, weights_sha256=manifest.weights_sha256, corpora=versions,
        rows={model_source: rates.samples for model_source, rates in models[0].all_to_hlx.items()},
        examples=len(sample.examples), evaluation_note=evaluation.note, own_cost=cost.words, models=models,
    )  # fmt: skip
    directory = artifacts.baselines(checkpoint)
    write_lines(directory / BASELINES_SAMPLE, (f"{json.dumps(line)}\n" for line in sample_lines(sample, replies)))
    write_json(directory / BASELINES, made.to_json())
    return Comparison(directory, made)


def sample_lines(sample: Sample, replies: Mapping[str, Sequence[Reply]]) -> list[dict[str, Any]]:
    """Return a record for each row, as Inspect's `json_dataset` reads it.

    Args:
        sample: the rows.
        replies: by name of the model.
    """
    answers: dict[str, dict[str, Any]] = {row.id: {} for row in sample.rows}
    for name, some in replies.items():
        for reply in some:
            answers[reply.row.id][name] = {
                "written": reply.answer.written[:_SHOWN], "outcome": reply.outcome, "strict": reply.answer.exact,
                "lenient": reply.answer.same_value, "parses": reply.answer.parses,
            }  # fmt: skip
    return [
        {
            "id": row.id,
            "input": messages_for(row, sample.examples),
            "target": list(row.right),
            "metadata": {
                "source": row.source, "document": row.document, "format": row.format, "english": row.english,
                "answers": answers[row.id],
            },
        }
        for row in sample.rows
    ]  # fmt: skip
