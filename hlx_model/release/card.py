"""The model card of a checkpoint: what it is, can do, was made from and cannot do.

Markdown with the front matter of Hugging Face's model cards, from the template `reporting/templates/card.md.jinja`.
"""

from pathlib import Path

from hlx_model.corpus.prompts import ENGLISH, prompt
from hlx_model.evaluation.gates import GATES
from hlx_model.files import write_text
from hlx_model.language import Format
from hlx_model.layout import EXAMPLES, WEIGHTS, Artifacts
from hlx_model.model.sizes import POSITIONS
from hlx_model.model.tokenizer import VOCABULARY_SIZE
from hlx_model.phases import PHASES, phases_that_write
from hlx_model.provenance.record import CheckpointRecord, record_of
from hlx_model.release.statement import inputs_of
from hlx_model.reporting.models import Translation
from hlx_model.reporting.render import render

_SENTENCE = "Search for documents"
_BEGINNINGS = {"continuations": "Search for ", "completions": "{1000: {@0: "}
"""What a model can continue that does not translate, by what it writes."""


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
    documents, examples = inputs_of(m)
    target, sentence = _right_answer(record)
    corpora = [(asset, version.data_version) for asset, version in m.corpora.items()]
    return render(
        "card.md", record=record, phase=PHASES[m.phase], phases=len(PHASES),
        symbols=VOCABULARY_SIZE, positions=POSITIONS, weights=weights,
        # An older manifest does not record the lengths of the files.
        weights_bytes=m.files[WEIGHTS].bytes if WEIGHTS in m.files else None,
        translating=" or ".join(map(str, phases_that_write("translations"))),
        documents=[(Path(document.name).name, document) for document in documents],
        corpora=[*corpora, *((EXAMPLES, version) for version in examples)],
        not_covered=[spec.description for spec in GATES.values() if m.phase not in spec.phases],
        target=target, sentence=sentence, beginning=_BEGINNINGS.get(PHASES[m.phase].writes, prompt(target, sentence)),
    )  # fmt: skip


def _right_answer(record: CheckpointRecord) -> tuple[str, str]:
    """Return a target format and a sentence: of a test pair that the model translated rightly, if there is one."""
    for example in record.report.examples if record.report else ():
        if isinstance(example, Translation) and example.source == ENGLISH and example.exact:
            return example.target, example.given
    return Format.HLXL, _SENTENCE
