"""What a person at a terminal sees of a run: the time, the step, the message, each on one line."""

import logging
import time

import dagster as dg

_LONGEST = 240


def _worth_a_line(record: logging.LogRecord) -> bool:
    """All but the steps that a failed one leaves undone: there are eight of them, and the end names what failed."""
    return "Dependencies for step" not in record.getMessage()


class _Line(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        meta = getattr(record, "dagster_meta", {})
        step = meta.get("step_key") or "run"
        message = (meta.get("orig_message") or record.getMessage()).split("\n", 1)[0]
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        sign = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        return f"{clock} {step}: {sign}{message[:_LONGEST]}"


@dg.logger(
    config_schema={"log_level": dg.Field(str, is_required=False, default_value="INFO")},
    description="One short line a message; the whole of it is in the UI.",
)
def console_logger(init_context: dg.InitLoggerContext) -> logging.Logger:
    """The logger `console` of every job."""
    level = init_context.logger_config["log_level"]
    logger = logging.Logger("hlx_assets.console", level=logging.getLevelName(level))
    handler = logging.StreamHandler()
    handler.setFormatter(_Line())
    handler.addFilter(_worth_a_line)
    logger.addHandler(handler)
    return logger
