"""Where the server's log goes: standard error, a line an event, for people or as JSON."""

import logging
import sys
import time
from collections.abc import Callable
from typing import Any

from opentelemetry.trace import format_span_id, format_trace_id, get_current_span
from pythonjsonlogger.json import JsonFormatter

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_OF_FRONT_END = "%(asctime)s %(levelname)s front end {} %(name)s: %(message)s"

_OURS = "intently_server"
_LIBRARIES = ("aiohttp", "asyncio", "grpc")
_EXPORTERS = "opentelemetry"
_GRPC = "grpc._cython.cygrpc"
# What grpc.aio logs as errors though a caller did it: metadata that is no UTF-8, all of which it shows; and an answer
# that came when its caller had just gone.
_DONE_BY_CALLERS = ("Invalid encoding on ", "ExecuteBatchError raised in core ", "Failed sending error status ")
_REPEAT_S = 60.0  # what an exporter says is not repeated sooner


def configure_logs(level: str, log_format: str = "text", front_end: int | None = None) -> None:
    """Sends the server's own log to standard error, and of the libraries in this process what is worth a warning.

    Leaves the engine's loggers alone.

    Args:
        level: Of the server's own log.
        log_format: "text", or "json" for an object a line, with the ids of the trace that a record belongs to.
        front_end: The number of this process, where it is one of several front ends: each line has it.
    """
    formatter = _JsonFormatter(front_end) if log_format == "json" else _text_formatter(front_end)
    _send(_OURS, level, formatter)
    for name in _LIBRARIES:
        _send(name, "WARNING", formatter)
    logging.getLogger(_GRPC).addFilter(_is_not_done_by_callers)
    _send(_EXPORTERS, "WARNING", formatter).addFilter(SeldomFilter(_REPEAT_S))


def _text_formatter(front_end: int | None) -> logging.Formatter:
    return logging.Formatter(FORMAT if front_end is None else _OF_FRONT_END.format(front_end))


def _send(name: str, level: str, formatter: logging.Formatter) -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logger = logging.getLogger(name)
    logger.handlers = [handler]
    logger.setLevel(level)
    logger.propagate = False
    return handler


def _is_not_done_by_callers(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_DONE_BY_CALLERS)


class SeldomFilter(logging.Filter):
    """Lets a message through once in so many seconds, so that a collector that is away does not fill the log.

    Args:
        seconds: Between two messages of the same logger and text, whatever values they were filled with.
        clock: Monotonic seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seconds = seconds
        self._clock = clock
        self._passed: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record goes through."""
        key, now = (record.name, str(record.msg)), self._clock()
        if now - self._passed.get(key, float("-inf")) < self._seconds:
            return False
        if len(self._passed) > 1000:  # texts that are made anew each time
            self._passed.clear()
        self._passed[key] = now
        return True


class _JsonFormatter(JsonFormatter):
    """Objects of timestamp, level, logger, message, trace_id, span_id, and exc_info where there is one.

    The ids are those of the current span as W3C writes them, null outside of any. One of several front ends adds its
    number as front_end.
    """

    def __init__(self, front_end: int | None) -> None:
        super().__init__("{message}", style="{", timestamp=True)
        self._front_end = front_end

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        super().add_fields(log_data, record, message_dict)
        span = get_current_span().get_span_context()
        log_data["level"] = record.levelname
        if self._front_end is not None:
            log_data["front_end"] = self._front_end
        log_data["logger"] = record.name
        log_data["trace_id"] = format_trace_id(span.trace_id) if span.is_valid else None
        log_data["span_id"] = format_span_id(span.span_id) if span.is_valid else None
