"""What other models answer to the rows that our model is evaluated on, beside what ours answers.

    sample      which rows, and which training examples the other models are given
    questions   what they are asked
    score       what is right
    ask, own    the answers of a provider's model, and of ours
    table       rates, latency and cost
    compare     all of it: `baselines.json` and `sample.jsonl`

English→HLX alone: a sentence has few right values, but a value has so many right sentences that an exact match would
be unfair to another model.
"""
