"""Every gate there is of a finished training, by name: what it asks, and of which phase."""

COMPLETED = "training_completed"
GATES = {
    COMPLETED: "The training came to its last epoch; nothing stopped it.",
    "lineage": "Every checkpoint that it was made from had passed its gates.",
    "perplexity": "Held-out next-token loss is below what counting symbols and pairs of symbols reaches.",
    "copy_rate": "The likeliest next symbol is mostly not the current one (labels are shifted).",
    "reported_loss": "The true next-token loss agrees with the loss that the trainer reported.",
    "words": "Free-running text consists of words of the corpus.",
    "completions_parse": "Completions of held-out HLX prefixes parse, in each format.",
    "parse_rate": "Answers in HLX parse in the format asked for, in each format.",
    "exact_match_to_hlx": "English→HLX answers on held-out pairs are right to the letter.",
    "exact_match_to_english": "HLX→English answers on held-out pairs are a sentence of the same value.",
    "standard_prompts": "The users' eight standard prompts are answered, in each format.",
    "training_pairs": "The model reproduces the pairs that it was trained on.",
    "collapse": "Output does not run on in one or two symbols.",
    "scrambled": "Output is put together as English or a format puts texts together.",
    "parroting": "Output is not the prompt again.",
    "diversity": "Sampled texts differ from each other.",
    "not_forgotten": "The phases before are not forgotten.",
}
"""Every gate there is, with what it asks."""

WRITING = (
    "words", "completions_parse", "parse_rate", "exact_match_to_hlx", "exact_match_to_english", "training_pairs",
    "standard_prompts", "collapse", "scrambled",
)  # fmt: skip
"""The gates that ask a model to write: one that has not learned its corpus yet cannot, and is not broken for that."""
TRANSLATING = ("exact_match_to_hlx", "exact_match_to_english")
"""The gates that ask what is learned last, and steeply."""
LEARNED = (*WRITING, "perplexity", "not_forgotten")
"""The gates that ask what takes a training of some length."""

DETECTED = {
    "collapse": "collapse into a few symbols",
    "scrambled": "are scrambled",
    "parroting": "repeat what was given",
}
"""What the text detectors find, by gate."""

_COMMON = (COMPLETED, "lineage", "perplexity", "copy_rate", "reported_loss")
GATES_OF_PHASE = {
    1: (*_COMMON, "words", *DETECTED, "diversity"),
    2: (*_COMMON, "completions_parse", *DETECTED, "diversity"),
    3: (
        *_COMMON, "parse_rate", "exact_match_to_hlx", "exact_match_to_english", "training_pairs",
        "standard_prompts", *DETECTED, "not_forgotten",
    ),
}  # fmt: skip
