"""The directory of one training: lock, heartbeat, metrics, and whether its process and its watchdog are alive."""
