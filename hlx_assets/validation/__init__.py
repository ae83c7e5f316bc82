"""Reports on checkpoints, and the gates as asset checks."""
