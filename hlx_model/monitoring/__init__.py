"""The watchdog: what it looks at, how it judges, and when it would have spoken. It stops nothing; who watches does."""
