"""The directory of one training: lock, heartbeat, metrics, and whether its process and the watchdog are alive."""
