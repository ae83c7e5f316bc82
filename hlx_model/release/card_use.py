"""How a checkpoint is used, for its model card: commands and programs that can be copied and run as they stand."""

import shlex

from hlx_model.layout import WEIGHTS
from hlx_model.provenance.record import CheckpointRecord

_TARGET, _SENTENCE = "HLXL", "Search for documents"
_BEGUN = {1: "Search for ", 2: "{1000: {@0: "}
_LOAD = {
    WEIGHTS: (
        "from safetensors.torch import load_file\n",
        "from hlx_model.model.sizes import SIZES",
        "from hlx_model.model.transformer import Transformer\n",
        "model = Transformer(SIZES[{size!r}])",
        'model.load_state_dict(load_file("{weights}"))',
    ),
    "model.pt": (
        "from pathlib import Path\n",
        "from hlx_model.checkpoints.pt_import import load_pt\n",
        'model = load_pt(Path("{weights}")).model',
    ),
}


def use(record: CheckpointRecord, weights: str | None) -> list[str]:
    """How to use it in its training's folder, or where `weights` is named, in the folder that it was exported to."""
    return _exported(record, weights) if weights else _in_place(record)


def _in_place(record: CheckpointRecord) -> list[str]:
    place = shlex.quote(str(record.checkpoint))
    target, sentence = _asked(record)
    translate = f"hlx translate {shlex.quote(sentence)} --to {target} --checkpoint {place}"
    commands = [
        *([translate] if record.manifest.phase == 3 else []),
        f"hlx validate --checkpoint {place}",
        f"hlx export {place} exported",
    ]
    return ["```sh", *commands, "```"]


def _exported(record: CheckpointRecord, weights: str) -> list[str]:
    m = record.manifest
    target, sentence = _asked(record)
    if m.phase == 3:
        prompt, imported = f"prompt({target!r}, {sentence!r})", ["from hlx_model.corpus import prompt"]
    else:
        prompt, imported = repr(_BEGUN[m.phase]), []
    load = [line.format(size=m.size, weights=weights) for line in _LOAD[weights]]
    ours = [line for line in load if line.startswith("from hlx_model")]
    others = [line for line in load if line.startswith("from") and line not in ours]
    imports = sorted(line.rstrip() for line in [*ours, *imported, "from hlx_model.model.generation import generate"])
    program = [
        *others,
        *imports,
        "",
        *(line for line in load if not line.startswith("from")),
        f"print(generate(model.eval(), [{prompt}], max_new_tokens=200)[0])",
    ]
    asks = m.phase == 3 and weights == WEIGHTS
    judged = f"hlx validate --checkpoint model.pt --corpus corpus.md --phase {m.phase}"
    return [
        "In this folder, where the package `hlx-brain` is installed:",
        "",
        "```python",
        *"\n".join(program).splitlines(),
        "```",
        "",
        *(
            [f"`{judged}` judges a copy of it on a corpus of yours; the report is written beside the file.", ""]
            if weights != WEIGHTS
            else []
        ),
        *([f"`hlx translate {shlex.quote(sentence)} --to {target} --checkpoint .` does it too.", ""] if asks else []),
        "`provenance.json` says what it was made from and holds the SHA-256 of every other file here: `hlx lineage "
        "verify .` hashes them again, and where there is a `model.sig`, `--key key.pub` asks whose it is.",
    ]


def _asked(record: CheckpointRecord) -> tuple[str, str]:
    """A target and a sentence: of a held-out pair that it got right, where there is one."""
    for example in record.report["examples"] if record.report else ():
        if example.get("source") == "English" and example.get("exact"):
            target: str = example["target"]
            return target, example["prompt"].removeprefix(f"[{target}] ").removesuffix(" → ")
    return _TARGET, _SENTENCE
