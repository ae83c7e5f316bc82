"""The rules by which a training is stopped: judged by the trainer on its own losses, by the watchdog on the record."""
