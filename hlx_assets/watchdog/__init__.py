"""The watchdog: it closes runs whose process is gone, stops lost trainings and sends alerts."""
