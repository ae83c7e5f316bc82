"""Reports on checkpoints, the gates as asset checks, and the guard that holds across runs."""
