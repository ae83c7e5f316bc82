"""Assets: the model cards, and the history of all trainings."""
