"""A second opinion on the training of a session that has a provider: a sensor that asks for it, a job that asks it."""
