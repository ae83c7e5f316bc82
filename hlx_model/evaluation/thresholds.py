"""Every threshold of the gates in one place, each beside the measurement that set it.

Losses are next-token losses in nats a token on held-out text. A uniform guess among all symbols has 4.76. The runs that
the figures come from are in `docs/LOG.md`; those marked "benchmark" are the trainings of `make bench ARGS=gates`, in
`docs/gates.md`.
"""

from pydantic import Field, field_serializer

from hlx_model.files import digest_of
from hlx_model.json_model import JsonModel
from hlx_model.phases import Writes


class Thresholds(JsonModel):
    """The limits at which a metric fails (`min_*`, `max_*`), and those from which it is good (`good_*`)."""

    # During training, at the milestones.
    max_loss_above_uniform: float = Field(default=0.5, serialization_alias="loss_above_uniform")
    """Nats above a uniform guess. Broken runs: 19.7 (labels not shifted), 2157 (learning rate × 100), 7.92 (vocabulary
    permuted). Plain SGD had 4.85; untrained models have 4.77 to 5.12."""
    initial_drop_from_step: int = Field(default=50, serialization_alias="steps_to_learn_anything")
    """From this step on, the best held-out loss must be below the initial one …"""
    min_initial_loss_drop: float = Field(default=0.02, serialization_alias="anything")
    """… by this many nats. After 55 steps at a learning rate of 3e-5, healthy weights were 0.14 below it (5.12 and
    4.98). At 1e-9 they had not moved."""
    below_uniform_from_step: int = Field(default=300, serialization_alias="steps_to_beat_uniform")
    """From this step on, the best held-out loss must be below a uniform guess. Healthy weights had 4.89 after 55 steps
    at a learning rate of 5e-5, and 4.02 after 500. Plain SGD is below it after 71."""
    decline_from_step: int = Field(default=200, serialization_alias="steps_to_come_down")
    """The same for a phase that begins above a uniform guess, as HLX does for a model of English: 5 steps of 32 × 256
    tokens at a learning rate of 1e-4 brought a healthy model from 9.0 to 8.9 nats (benchmark)."""
    min_training_tokens: int = Field(default=100_000, serialization_alias="few_training_tokens")
    """With fewer training tokens a healthy model may overfit, and only a warning is given. On a document of 164 entries
    (3.5k tokens of English, 75k of pairs) the held-out loss was 2.5 at best, never below the bigram baseline, and 5.9
    at epoch 100, while the loss on training text was 0.24."""
    max_copy_rate: float = Field(default=0.5, serialization_alias="copy_rate")
    """Healthy runs 0.00 to 0.13, labels not shifted 0.91 to 1.00."""
    max_reported_loss_gap: float = Field(default=0.5, serialization_alias="loss_disagreement")
    """True loss on training text minus the reported training loss, in nats. Healthy runs at most 0.1 (the model
    improves within an epoch, so it is mostly below 0); labels not shifted 4.5 at epoch 1 and rising."""

    unigram_from_step: int = Field(default=300, serialization_alias="steps_to_beat_unigram")
    """From this step on, and from epoch 10 on, the best held-out loss must be below the unigram baseline. A healthy but
    slow run was 0.3 below it at epoch 5 and 0.4 at epoch 10; plain SGD was 0.9 above it."""
    min_gain_over_unigram: float = Field(default=0.1, serialization_alias="below_unigram")
    """Nats below the unigram baseline, during training and at the end. Healthy runs of phase 1 end at least 1 nat below
    it; shuffled characters reach it and stay there (3.15 at best, the baseline 3.18)."""

    # At the end, in the report.
    min_steps_to_learn: int = Field(default=300, serialization_alias="steps_to_learn")
    min_tokens_to_learn: dict[Writes, int] = Field(
        default={"continuations": 300_000, "completions": 300_000, "translations": 1_200_000},
        serialization_alias="tokens_to_learn",
    )
    """By what a phase writes. In a shorter training, what the model has not learned yet gives a warning (benchmark).

    Phase 1 with 24 to 128 steps, or 60k to 200k tokens, has a word rate of 0.47 to 0.93 and 0.06 to 1.00 of its texts
    loop; with 173 steps and 250k tokens 0.76 and none. Phase 2 with 120k tokens completes nothing, with 300k 0.7. Phase
    3 with 700k tokens reproduces none of its training pairs, with 1.2M 0.76."""
    min_tokens_to_translate: int = Field(default=3_000_000, serialization_alias="tokens_to_translate")
    """In phase 3, exact match comes late and steeply: 0.00 at 1.2M tokens, 0.09 and 0.02 at 2M, 0.46 and 0.32 at 4M."""
    min_gain_over_bigram: float = Field(default=0.4, serialization_alias="below_bigram")
    """Nats below the bigram baseline: a transformer that uses no more than one symbol of context has learned nothing of
    the language. Shuffled characters end 0.8 above the baseline, a model without attention 0.24 below it (it has its
    positions), healthy runs at least 1.15 below it, one at half its budget 0.8 (benchmark)."""
    min_word_rate: float = Field(default=0.5, serialization_alias="words")
    """Share of the written words that are words of the corpus. Healthy quick runs 0.98 to 0.99."""
    good_word_rate: float = Field(default=0.8, serialization_alias="words_warn")
    """Here and below, "good" is above what healthy trainings of half the budget reach. A warning therefore means that
    more training would help."""
    min_parse_rate: float = Field(default=0.5, serialization_alias="parse")
    """In each format. Healthy quick runs: answers 0.92 to 0.97, completions 0.83 to 0.96."""
    good_parse_rate: float = Field(default=0.8, serialization_alias="parse_warn")
    min_exact_match_to_hlx: float = Field(default=0.03, serialization_alias="exact_to_hlx")
    """With the lines of another entry under 67% of the sentences 0.00, after 4M tokens. Healthy runs reach 0.13 on 2000
    entries after 3.6M tokens, 0.46 on 8000 after 4M, quick ones 0.52 after 7M (benchmark)."""
    good_exact_match_to_hlx: float = Field(default=0.50, serialization_alias="exact_to_hlx_warn")
    min_exact_match_to_english: float = Field(default=0.02, serialization_alias="exact_to_english")
    """The same runs: 0.00; 0.11, 0.32 to 0.38, 0.39 to 0.44."""
    good_exact_match_to_english: float = Field(default=0.35, serialization_alias="exact_to_english_warn")
    min_training_pairs: float = Field(default=0.10, serialization_alias="training_pairs")
    """Share of training pairs that the model reproduces. Healthy quick runs 0.57, at least as many as of held-out
    pairs."""
    good_training_pairs: float = Field(default=0.50, serialization_alias="training_pairs_warn")
    min_standard_prompt_parse_rate: float = Field(default=0.5, serialization_alias="answered")
    """Share of the standard prompts answered with a line that parses in the target format. Several of the prompts are
    in no corpus, so the value is not compared. A healthy quick run 0.91, the broken models on record 0."""
    good_standard_prompt_parse_rate: float = Field(default=0.75, serialization_alias="answered_warn")
    max_broken_share: float = Field(default=0.05, serialization_alias="broken_texts")
    """Share of outputs that collapsed or repeat their prompt: one in twenty, since a single odd answer proves nothing.
    All outputs of the broken models on record did. Scrambled outputs give a warning above this share …"""
    max_scrambled_share: float = Field(default=0.5, serialization_alias="scrambled_texts")
    """… and fail above this one. All outputs of the broken model on record were scrambled; of a model that has only
    begun to learn a format (2 epochs of 48 entries) a quarter."""
    max_forgetting: float = Field(default=0.3, serialization_alias="forgotten")
    """Nats by which the held-out loss of phases 1 and 2 may have risen at the end of phase 3. With replay it rose by
    0.00 and 0.03. Without replay it rises by 1.05, which is a warning if nothing is replayed, else a failure. Phase 2
    is not measured: in its few steps English rises by 0.7 even with replay, and phase 3 brings it back."""
    min_held_out_values: int = Field(default=36, serialization_alias="few")
    """With fewer held-out values, generalization cannot be measured: so small a corpus does not teach it. With 29 (1200
    entries) exact match is 0.01 after 3.5M tokens, though 0.93 of the training pairs are reproduced; with 44 (2000
    entries) 0.13."""

    # Of one text, by the detectors. Healthy texts are every line and sentence of a document of 164 entries and of
    # 32,000 composed ones. Broken texts are outputs of broken models, without the prompts that they begin with.
    max_prompt_similarity: float = Field(default=0.9, serialization_alias="similar")
    """Healthy answers are at most 0.80 similar to their prompts (`File summary.txt of size 300` and its LC-R); those of
    the broken 10M model are 1. Between two formats a right answer may be as similar as it likes: name what is
    expected."""
    max_repeated_share: float = Field(default=0.5, serialization_alias="repeated")
    """Healthy texts 0, those of the broken 250M model 1."""
    max_invalid_joint_share: float = Field(default=0.38, serialization_alias="strange")
    """Healthy texts 0, those of the broken 100M model 0.40 to 0.60. Just above 3/8: three invalid joints are one slip.
    Of 105,000 composed texts with one slip 0.3% are above it, of no kind of slip more than 1%. Of composed lines in
    another vocabulary 99.8% are, of random symbols 99%, of shuffled lines 85%. Shuffled English mostly stays words:
    3%."""
    min_distinct_share: float = Field(default=0.5, serialization_alias="distinct")
    """Share of the distinct texts that the corpus would give: healthy runs 0.9 and above, a collapsed one 0.02."""

    @field_serializer("min_tokens_to_learn")
    def _values(self, tokens: dict[Writes, int]) -> list[int]:
        return list(tokens.values())

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the values under their names of gates version 3.

        These names, the aliases, never change: the digest is a part of `GATES_VERSION`, and verdicts of another version
        are void. A new threshold gets one too; a changed value changes the digest by itself.
        """
        return digest_of(self.to_json())


T = Thresholds()
"""The thresholds of this version of the gates."""
