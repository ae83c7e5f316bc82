"""Trainings with one thing broken, which the gates must catch.

    >>> MUTANTS["labels not shifted"](seed=0)

A mutant is a healthy training with one change: in its texts, in the program, or in the finished checkpoint. In
`CONTROLS` are the same trainings without the change: they must not fail. None answers the evaluation document, which a
training of two minutes fails with nothing broken.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.compute as pc
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hlx_model.checkpoints.manifest import read_manifest
from hlx_model.corpus import ENGLISH, store, tables
from hlx_model.corpus.prompts import answer_start, prompt
from hlx_model.language import Format
from hlx_model.layout import WEIGHTS
from hlx_model.model.sizes import SIZES
from hlx_model.model.tokenizer import PAD, SPECIAL, VOCABULARY_SIZE, encode
from hlx_model.model.transformer import Transformer
from hlx_model.phases import CORPUS_OF_PHASE
from hlx_model.training.batches import Examples
from hlx_model.training.optimizers import Optimizers
from hlx_model.training.plan import TrainingPlan
from tests.support.damage import flip, rewrite_checkpoint, truncate
from tests.support.trials import SEQ_LENGTH, Document, Training, Trial

SENTENCES = Training(1, Document("composed", 4500), tokens=600_000)
LINES = Training(2, Document("composed", 4500), tokens=850_000)
PAIRS = Training(3, Document("short", 10_000), tokens=3_000_000, tokens_before=300_000, batch_size=4)
"""The mutants of each phase without their change: long enough to be fit but for the evaluation document."""


@dataclass(frozen=True)
class Mutant:
    """One kind of mutant."""

    about: str
    """What is broken, for the table."""
    training: Training
    plan: Callable[[TrainingPlan], TrainingPlan] | None = None
    program: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: Callable[[Path], None] | None = None

    def __call__(self, seed: int) -> Trial:
        """Return the mutant of a seed."""
        trial = Trial(replace(self.training, seed=seed), program=self.program, evaluated=False)
        if self.plan is not None:
            trial = replace(trial, plan=self.plan)
        return replace(trial, checkpoint=self.checkpoint) if self.checkpoint is not None else trial


# What it learns from


def texts(change: Callable[[list[str], Random], Sequence[str]]) -> Callable[[TrainingPlan], TrainingPlan]:
    """Return a trial with other training texts."""
    return lambda plan: replace(plan, train=list(change(list(plan.train), Random(plan.settings.seed))))


def answers(change: Callable[[str, str, Random], str]) -> Callable[[TrainingPlan], TrainingPlan]:
    """Return a trial with other answers; `change` receives the prompt's text and the right answer."""

    def changed(train: list[str], random: Random) -> list[str]:
        halves = ((text[: answer_start(text)], text[answer_start(text) :]) for text in train)
        return [before + change(given(before), answer, random) for before, answer in halves]

    return texts(changed)


def given(before: str) -> str:
    """Return the text that a prompt contains."""
    tag, _, rest = before.partition("] ")
    return rest.removesuffix(prompt(tag[1:], "").removeprefix(f"{tag}] "))


def one_sentence(train: list[str], random: Random) -> list[str]:
    return [random.choice(train)] * len(train)


def shuffled(text: str, random: Random) -> str:
    return "".join(random.sample(text, len(text)))


def answers_dealt_anew(train: list[str], random: Random) -> list[str]:
    by_target: dict[str, list[str]] = defaultdict(list)
    for text in train:
        by_target[text.partition("]")[0]].append(text[answer_start(text) :])
    for dealt in by_target.values():
        random.shuffle(dealt)
    return [text[: answer_start(text)] + by_target[text.partition("]")[0]].pop() for text in train]


def one_prompt(train: list[str], random: Random) -> list[str]:
    return [f"{prompt(text.partition(']')[0][1:], 'this')}{text[answer_start(text) :]}" for text in train]


def a_handful(train: list[str], random: Random) -> list[str]:
    return [random.choice(few) for few in [random.sample(train, 40)] for _ in train]


def without_a_format(plan: TrainingPlan) -> TrainingPlan:
    """Leave out a format that the seed picks: of the lines, or of the pairs."""
    return without(list(Format)[plan.settings.seed % len(Format)])(plan)


def without(format: Format) -> Callable[[TrainingPlan], TrainingPlan]:
    """Return a trial whose lines, or whose pairs on both sides, lack a format."""

    def changed(plan: TrainingPlan) -> TrainingPlan:
        rows = store.load(plan.directory.parents[1] / plan.corpora[CORPUS_OF_PHASE[plan.settings.phase]].path)
        for side in {"format", "target", "source"} & {*rows.column_names}:
            rows = rows.filter(pc.field(side) != str(format))
        return replace(plan, train=tables.model_texts(rows, "train"))

    return changed


def without_english(train: list[str], random: Random) -> list[str]:
    return [text for text in train if not text.startswith(f"[{ENGLISH}]")]


def into_english(train: list[str], random: Random) -> list[str]:
    return [text for text in train if text.startswith(f"[{ENGLISH}]")]


# The program


def unshifted(model: nn.Module, ids_BT: Tensor) -> Tensor:
    """Return the loss of each token itself, labels not shifted."""
    ids_BT = ids_BT[:, :-1]
    losses = F.cross_entropy(model(ids_BT).float().flatten(0, 1), ids_BT.flatten(), ignore_index=PAD, reduction="none")
    return losses.view_as(ids_BT)


def over_padding(model: nn.Module, ids_BT: Tensor) -> Tensor:
    """Return the loss of each next token, so that the reported mean includes padding."""
    labels_BT = ids_BT[:, 1:]
    losses = F.cross_entropy(model(ids_BT[:, :-1]).float().flatten(0, 1), labels_BT.flatten(), reduction="none")
    return losses.view_as(labels_BT) * (labels_BT != PAD).float().mean()


_batch = Examples.batch


def in_another_vocabulary(examples: Examples, rows: Tensor) -> Tensor:
    """Return the token ids of a batch in a program whose symbols have another order."""
    return permutation()[_batch(examples, rows)]


def permutation() -> Tensor:
    """Return the vocabulary in another order; special symbols keep their places."""
    shuffled = len(SPECIAL) + torch.randperm(VOCABULARY_SIZE - len(SPECIAL), generator=torch.Generator().manual_seed(0))
    return torch.cat([torch.arange(len(SPECIAL)), shuffled])


class PlainSGD(Optimizers):
    """Gradient descent at the rate of AdamW, without moments."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.muons, parameters = [], list(self.named.values())
        self.all = [torch.optim.SGD(parameters, lr=self.settings.learning_rate)]
        self._peaks = [(group, group["lr"]) for group in self.all[0].param_groups]

    def step(self, pool: object = None) -> None:
        """Change the weights by their gradients."""
        self.all[0].step()


class Spoilt(Optimizers):
    """Sets a weight to NaN after its 20th step."""

    steps_done = 0

    def step(self, pool: Any = None) -> None:
        """Change the weights by their gradients."""
        super().step(pool)
        self.steps_done += 1
        if self.steps_done == 20:
            next(p for name, p in self.named.items() if name.endswith("1.linear1.weight")).data[0, 0] = torch.nan


def frozen_at_zero(*names: str) -> Callable[[Transformer, int], Transformer]:
    """Return an initialization that sets these weights to zero and keeps them there."""
    initialize = Transformer.initialize

    def initialized(model: Transformer, seed: int) -> Transformer:
        for name, parameter in initialize(model, seed).named_parameters():
            if name.endswith(names):
                parameter.data.zero_()
                Tensor.register_hook(parameter, torch.zeros_like)  # type: ignore[no-untyped-call]
        return model

    return initialized


def padded_to_the_full(longest: int) -> int:
    return SEQ_LENGTH


def nothing(*args: object) -> None:
    """Do nothing."""


# The finished checkpoint


def weights(change: Callable[[nn.Module], None], **manifest: Any) -> Callable[[Path], None]:
    """Return a trial whose checkpoint has other weights or another manifest, sealed as the trainer seals it."""
    return lambda path: rewrite_checkpoint(path, change, **manifest)


def symbols_swapped(model: nn.Module) -> None:
    order = permutation()
    for name, parameter in model.named_parameters():
        if name.startswith(("token_embedding", "output_projection")):
            parameter.data[order] = parameter.data.clone()


def not_a_number(model: nn.Module) -> None:
    dict(model.named_parameters())["transformer.layers.1.linear1.weight"].data[0, 0] = torch.nan


def sure_of_a_colon(model: nn.Module) -> None:
    dict(model.named_parameters())["output_projection.bias"].data[encode(":")] += 20


def noisy(model: nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)


def truncated(path: Path) -> None:
    truncate(path / WEIGHTS)


def one_bit_flipped(path: Path) -> None:
    flip(path / WEIGHTS)


def of_another_size(path: Path) -> None:
    settings = {**read_manifest(path).settings, "size": "10m"}
    rewrite_checkpoint(path, nothing, settings=settings)


def _mispaired(share: float) -> Training:
    return replace(PAIRS, document=replace(PAIRS.document, mispaired=share))


_ENGINE, _LOOP = "hlx_model.training.engine", "hlx_model.training.loop"
_INITIALIZE = "hlx_model.model.transformer.Transformer.initialize"
_UNSHIFTED = {f"{_ENGINE}.next_token_losses": unshifted}
_LAYER_MORE = {f"{_LOOP}.SIZES": {**SIZES, "tiny": replace(SIZES["tiny"], layers=3)}}
_PADDED = {"hlx_model.training.batches.width": padded_to_the_full, f"{_ENGINE}.next_token_losses": over_padding}

MUTANTS = {
    "labels not shifted": Mutant("each symbol is learned as its own next one", SENTENCES, program=_UNSHIFTED),
    "labels not shifted, HLX": Mutant("the same in phase 2", LINES, program=_UNSHIFTED),
    "labels not shifted, pairs": Mutant("the same in phase 3", PAIRS, program=_UNSHIFTED),
    "loss over padding": Mutant(
        "padded to 256 tokens, the loss is the mean over all of them",
        replace(SENTENCES, document=Document("composed", 1000)), program=_PADDED,
    ),
    "learning rate × 100": Mutant("0.6 instead of 0.006", replace(SENTENCES, learning_rate=0.6)),
    "learning rate × 100, AdamW": Mutant(
        "0.3 instead of 0.003", replace(SENTENCES, learning_rate=0.3, optimizer="adamw")
    ),
    "nothing is learned": Mutant("the optimizer's step does nothing", SENTENCES, program={
        f"{_ENGINE}.Optimizers.step": nothing,
    }),
    "plain SGD": Mutant("no AdamW, no Muon", SENTENCES, program={f"{_ENGINE}.Optimizers": PlainSGD}),
    "embedding frozen": Mutant("token embeddings stay zero", SENTENCES, program={
        _INITIALIZE: frozen_at_zero("token_embedding.weight"),
    }),
    "attention cut off": Mutant("attention's output stays zero", SENTENCES, program={
        _INITIALIZE: frozen_at_zero("out_proj.weight", "out_proj.bias"),
    }),
    "NaN while training": Mutant("in a weight, after step 20", SENTENCES, program={f"{_ENGINE}.Optimizers": Spoilt}),
    "one sentence repeated": Mutant("it replaces every other", SENTENCES, texts(one_sentence)),
    "characters shuffled": Mutant(
        "within each sentence", SENTENCES, texts(lambda train, random: [shuffled(text, random) for text in train])
    ),
    "vocabulary permuted in training": Mutant("it writes in one order and reads in another", SENTENCES, program={
        "hlx_model.training.batches.Examples.batch": in_another_vocabulary,
    }),
    "vocabulary swapped": Mutant("between training and evaluation", SENTENCES, checkpoint=weights(symbols_swapped)),
    "checkpoint of another vocabulary": Mutant(
        "its manifest says so", SENTENCES, checkpoint=weights(nothing, vocabulary_sha256="0" * 64)
    ),
    "NaN in one layer": Mutant("in one weight of the checkpoint", SENTENCES, checkpoint=weights(not_a_number)),
    "truncated file": Mutant("half of the weights' file is missing", SENTENCES, checkpoint=truncated),
    "one bit flipped": Mutant("in the weights' file", SENTENCES, checkpoint=one_bit_flipped),
    "wrong size": Mutant("the settings say tiny, a layer more was trained", SENTENCES, program=_LAYER_MORE),
    "size not the one asked for": Mutant("the settings say 10m, tiny was saved", SENTENCES, checkpoint=of_another_size),
    "noise in the weights": Mutant("of a deviation of 0.1", SENTENCES, checkpoint=weights(noisy)),
    "collapse": Mutant("the checkpoint is sure of one symbol", SENTENCES, checkpoint=weights(sure_of_a_colon)),
    "format never learned, HLX": Mutant("one of the four is left out of phase 2", LINES, without_a_format),
    "format never learned": Mutant("one of the four is left out of phase 3", PAIRS, without_a_format),
    "English never learned": Mutant("it is no target in phase 3", PAIRS, texts(without_english)),
    "off by one": Mutant(
        "every sentence has the lines of the next entry", _mispaired(1.0)
    ),
    "off by one, 67%": Mutant(
        "67% of the sentences have them", _mispaired(0.67)
    ),
    "answers dealt anew": Mutant("at random, among the pairs of a target", PAIRS, texts(answers_dealt_anew)),
    "answers memorized": Mutant("40 pairs over and over", PAIRS, texts(a_handful)),
    "prompt not attended": Mutant("every prompt is the same", PAIRS, texts(one_prompt)),
    "parroting": Mutant("every answer is its prompt", PAIRS, answers(lambda given, answer, random: given)),
    "scrambled output": Mutant(
        "the answers' characters are shuffled", PAIRS, answers(lambda given, answer, random: shuffled(answer, random))
    ),
    "character collapse": Mutant("every answer is colons and letters p", PAIRS, answers(
        lambda given, answer, random: ":" * (len(answer) // 2 + 5) + "p" * (len(answer) // 2 + 5)
    )),
    "answers cut short": Mutant(
        "in their middle", PAIRS, answers(lambda given, answer, random: answer[: len(answer) // 2])
    ),
    "English forgotten": Mutant(
        "the settings have replay, and nothing is replayed", PAIRS, lambda plan: replace(plan, replay=[])
    ),
}  # fmt: skip
"""By name; called with a seed, each gives its trial."""
CONTROLS = {
    f"nothing, phase {training.phase}": Mutant("nothing is broken", training) for training in (SENTENCES, LINES, PAIRS)
}
"""The trainings of the mutants with nothing broken, by name."""
