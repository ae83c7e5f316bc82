"""A second opinion on a training: a language model sees the curve and says continue, watch or stop. It has no power."""
