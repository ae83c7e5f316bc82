"""The model card of a checkpoint: what it is, can do, was made from and cannot do.

Markdown with the front matter of Hugging Face's model cards, from the template `reporting/templates/card.md.jinja`.
"""

from collections.abc import Iterator
from pathlib import Path

from hlx_model.corpus.prompts import ENGLISH
from hlx_model.evaluation.gates import GATES
from hlx_model.files import write_text
from hlx_model.language import Format
from hlx_model.layout import EXAMPLES, WEIGHTS, Artifacts
from hlx_model.model.sizes import POSITIONS
from hlx_model.model.tokenizer import VOCABULARY_SIZE
from hlx_model.phases import PHASES
from hlx_model.provenance.record import CheckpointRecord, record_of
from hlx_model.reporting import views
from hlx_model.reporting.models import Translation
from hlx_model.reporting.render import render

_SENTENCE = "Search for documents"
_BEGINNINGS = {1: "Search for ", 2: "{1000: {@0: "}
"""What a checkpoint of phases 1 and 2 can continue."""


def card(checkpoint: Path) -> str:
    """Return the card of a checkpoint that lies in its training's folder.

    Raises:
        CheckpointError: the manifest is missing, or the report was changed or is on another checkpoint.
    """
    return card_of(record_of(checkpoint))


def write_card(checkpoint: Path) -> Path:
    """Write the card of a checkpoint beside the trainings, and return its path."""
    path = Artifacts.of_checkpoint(checkpoint).card(checkpoint)
    write_text(path, card(checkpoint))
    return path


def card_of(record: CheckpointRecord, weights: str | None = None) -> str:
    """Return the card of a checkpoint on record. For an exported folder, name its file of weights: `weights`."""
    m = record.manifest
    documents = {d.sha256: d for version in m.corpora.values() for d in version.documents}
    examples = {version.examples for version in m.corpora.values() if version.examples}
    target, sentence = _right_answer(record)
    return render(
        "card.md",
        record=record,
        manifest=m,
        weights=weights,
        # An older manifest does not record the lengths of the files.
        weights_bytes=m.files[WEIGHTS].bytes if WEIGHTS in m.files else None,
        phase=PHASES[m.phase],
        phases=len(PHASES),
        symbols=VOCABULARY_SIZE,
        positions=POSITIONS,
        objections=list(_objections(record)),
        worst=_worst(record),
        documents=[(Path(d.name).name, d) for d in documents.values()],
        corpora=[
            *((asset, version.data_version) for asset, version in m.corpora.items()),
            *((EXAMPLES, version) for version in sorted(examples)),
        ],
        ancestors=list(_ancestors(record)),
        not_covered=[spec.description for spec in GATES.values() if m.phase not in spec.phases],
        target=target,
        sentence=sentence,
        beginning=_BEGINNINGS.get(m.phase),
    )


def _objections(record: CheckpointRecord) -> Iterator[str]:
    """Yield what a person who reads no further must know."""
    yield from record.objections()
    if record.by_hand:
        yield f"it was resumed by hand from {record.by_hand}, whose gates were not checked"


def _ancestors(record: CheckpointRecord) -> Iterator[tuple[str, str, str, str]]:
    """Yield name, hash of the weights, verdict at the time and verdict now of each checkpoint that it was made from."""
    for node, verdict_then in record.ancestors:
        now = "missing" if not node.available else node.verdict.outcome if node.verdict else "never evaluated"
        yield node.name, node.sha256, verdict_then, now


def _worst(record: CheckpointRecord) -> dict[str, views.RatesByName]:
    """Return the operations and the lengths at which phase 3 is right least often, by what they are."""
    f = record.report.translation if record.report else None
    if f is None:
        return {}
    kinds = {"operation": f.by_operation, "characters of the answer": f.by_length}
    return {kind: views.worst_kinds(named) for kind, named in kinds.items()}


def _right_answer(record: CheckpointRecord) -> tuple[str, str]:
    """Return a target format and a sentence: of a held-out pair that the model translated rightly, if there is one."""
    for example in record.report.examples if record.report else ():
        if isinstance(example, Translation) and example.source == ENGLISH and example.exact:
            return example.target, example.prompt.removeprefix(f"[{example.target}] ").removesuffix(" → ")
    return Format.HLXL, _SENTENCE
