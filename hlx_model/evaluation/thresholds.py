"""The thresholds of the gates that are the same in every profile, each beside the measurement that set it.

They say whether something is broken. What a finished checkpoint must be able to do, by profile, is in `fitness.py`.

Losses are next-token losses in nats a token: of validation text during training, of test text at the end. A uniform
guess among all symbols has 4.76. The runs that the figures come from are in `docs/LOG.md`; those marked "benchmark" are
the trainings of `make bench ARGS=gates`, in `docs/gates.md`.
"""

from hlx_model.json_model import JsonModel


class Thresholds(JsonModel):
    """The limits at which a metric fails (`min_*`, `max_*`)."""

    # During training, at the milestones.
    max_loss_above_uniform: float = 0.5
    """Nats above a uniform guess. Broken runs: 19.7 (labels not shifted), 2157 (learning rate × 100), 7.92 (vocabulary
    permuted). Plain SGD had 4.85; untrained models have 4.77 to 5.12."""
    initial_drop_from_step: int = 50
    """From this step on, the best validation loss must be below the initial one …"""
    min_initial_loss_drop: float = 0.02
    """… by this many nats. After 55 steps at a learning rate of 3e-5, healthy weights were 0.14 below it (5.12 and
    4.98). At 1e-9 they had not moved."""
    below_uniform_from_step: int = 300
    """From this step on, the best validation loss must be below a uniform guess. Healthy weights had 4.89 after 55
    steps at a learning rate of 5e-5, and 4.02 after 500. Plain SGD is below it after 71."""
    decline_from_step: int = 200
    """The same for a phase that begins above a uniform guess, as HLX does for a model of English: 5 steps of 32 × 256
    tokens at a learning rate of 1e-4 brought a healthy model from 9.0 to 8.9 nats (benchmark)."""
    min_training_tokens: int = 100_000
    """With fewer training tokens a healthy model may overfit, and only a warning is given. On a document of 164 entries
    (3.5k tokens of English, 75k of pairs) the validation loss was 2.5 at best, never below the bigram baseline, and 5.9
    at epoch 100, while the loss on training text was 0.24."""
    max_copy_rate: float = 0.5
    """Healthy runs 0.00 to 0.13, labels not shifted 0.91 to 1.00."""
    max_reported_loss_gap: float = 0.5
    """True loss on training text minus the reported training loss, in nats. Healthy runs at most 0.1 (the model
    improves within an epoch, so it is mostly below 0); labels not shifted 4.5 at epoch 1 and rising."""

    unigram_from_step: int = 300
    """From this step on, and from epoch 10 on, the best validation loss must be below the unigram baseline. A healthy
    but slow run was 0.3 below it at epoch 5 and 0.4 at epoch 10; plain SGD was 0.9 above it."""
    min_gain_over_unigram: float = 0.1
    """Nats below the unigram baseline, during training and at the end. Healthy runs of phase 1 end at least 1 nat below
    it; shuffled characters reach it and stay there (3.15 at best, the baseline 3.18)."""

    # At the end, in the report.
    min_gain_over_bigram: float = 0.4
    """Nats below the bigram baseline: a transformer that uses no more than one symbol of context has learned nothing of
    the language. Shuffled characters end 0.8 above the baseline, a model without attention 0.24 below it (it has its
    positions), healthy runs at least 1.15 below it, one at half its budget 0.8 (benchmark)."""
    max_share_of_bigram: float = 0.5
    """Of a corpus that can only be learned by heart: the loss on its training text, as a share of the bigram baseline.
    After the tokens that `quick` trains on a document of 163 entries it is 0.10, 0.08 and 0.06 in the three phases."""
    min_share_of_best_format: float = 0.5
    """Of lines that no other format writes alike: the exact match of each format, as a share of the best one's."""
    max_broken_share: float = 0.05
    """Share of outputs that collapsed or repeat their prompt: one in twenty, since a single odd answer proves nothing.
    All outputs of the broken models on record did. Scrambled outputs give a warning above this share …"""
    max_scrambled_share: float = 0.5
    """… and fail above this one. All outputs of the broken model on record were scrambled; of a model that has only
    begun to learn a format (2 epochs of 48 entries) a quarter."""
    max_forgetting: float = 0.3
    """Nats by which the loss on phases 1 and 2 may have risen at the end of phase 3, if they were replayed. It rose by
    0.00 to 0.05 with a replay of 4%, by 0.17 with 1%, and by 1.05 without. Phase 2 is not measured: in its few steps
    English rises by 0.7 even with replay, and phase 3 brings it back."""

    # Of one text, by the detectors. Healthy texts are every line and sentence of a document of 164 entries and of
    # 32,000 composed ones. Broken texts are outputs of broken models, without the prompts that they begin with.
    max_prompt_similarity: float = 0.9
    """Healthy answers are at most 0.80 similar to their prompts (`File summary.txt of size 300` and its LC-R); those of
    the broken 10M model are 1. Between two formats a right answer may be as similar as it likes: name what is
    expected."""
    max_repeated_share: float = 0.5
    """Healthy texts 0, those of the broken 250M model 1."""
    max_invalid_joint_share: float = 0.38
    """Healthy texts 0, those of the broken 100M model 0.40 to 0.60. Just above 3/8: three invalid joints are one slip.
    Of 105,000 composed texts with one slip 0.3% are above it, of no kind of slip more than 1%. Of composed lines in
    another vocabulary 99.8% are, of random symbols 99%, of shuffled lines 85%. Shuffled English mostly stays words:
    3%."""
    min_distinct_share: float = 0.5
    """Share of the distinct texts that the corpus would give: healthy runs 0.9 and above, a collapsed one 0.02."""
    temperatures: tuple[float, ...] = (0.5, 1.0, 1.5)
    """At which a model that translates is sampled."""


T = Thresholds()
"""The thresholds of this version of the gates."""
