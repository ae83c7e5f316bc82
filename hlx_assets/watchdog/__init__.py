"""The watchdog: runs whose process is gone are closed, trainings that are lost are stopped."""
