"""What a person at a terminal sees of a run: a line for each message, with its time and step."""

import logging
import time

import dagster as dg

_MAX_LENGTH = 240
TOLD_BETTER = ("Dependencies for step", "Execution of step", "Execution of run")
"""Messages that name no reason: that a step failed, and each step after it. The table at the end names the reason."""


class _Line(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        meta = getattr(record, "dagster_meta", {})
        step = meta.get("step_key") or "run"
        message = (meta.get("orig_message") or record.getMessage()).split("\n", 1)[0]
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        level = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        return f"{clock} {step}: {level}{message[:_MAX_LENGTH]}"


@dg.logger({"log_level": dg.Field(str, default_value="INFO")}, "A short line for each message; the UI shows all of it.")
def console_logger(init_context: dg.InitLoggerContext) -> logging.Logger:
    """Return the logger `console` of every job."""
    logger = logging.Logger("hlx_assets.console", init_context.logger_config["log_level"])
    handler = logging.StreamHandler()
    handler.setFormatter(_Line())
    handler.addFilter(lambda record: not any(text in record.getMessage() for text in TOLD_BETTER))
    logger.addHandler(handler)
    return logger
