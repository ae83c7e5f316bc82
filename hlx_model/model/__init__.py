"""The model: tokenizer, sizes, transformer, generation, and the device that runs them."""
