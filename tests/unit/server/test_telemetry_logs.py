"""The log: JSON with the ids of traces, and an exporter that cannot fill it."""

import contextvars
import json
import logging
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider

from intently_server.logs import SeldomFilter, configure_logs
from intently_server.observer import Unobserved
from intently_server.telemetry.trace_context import LogContext

NAMES = ("intently_server", "opentelemetry", "aiohttp", "asyncio", "grpc", "grpc._cython.cygrpc")


@pytest.fixture(autouse=True)
def _loggers_put_back() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in NAMES]
    before = [(each.handlers, each.filters[:], each.level, each.propagate) for each in loggers]
    yield
    for logger, (handlers, filters, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers, logger.filters, logger.propagate = handlers, filters, propagate
        logger.setLevel(level)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_text_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("INFO")
    logging.getLogger("intently_server.app").info("serving %s", "mini")

    assert capsys.readouterr().err.endswith(" INFO intently_server.app: serving mini\n")


def test_json_has_the_ids_of_the_current_span(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("INFO", "json")
    logger = logging.getLogger("intently_server.app")
    with TracerProvider(shutdown_on_exit=False).get_tracer("test").start_as_current_span("call") as span:
        logger.info("in a call")
    logger.warning("outside of any")

    inside, outside = lines(capsys)
    context = span.get_span_context()
    assert (inside["trace_id"], inside["span_id"]) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")
    assert (outside["trace_id"], outside["span_id"]) == (None, None)
    assert (outside["level"], outside["logger"], outside["message"]) == (
        "WARNING",
        "intently_server.app",
        "outside of any",
    )


def test_an_exception_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("INFO", "json")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("intently_server").exception("failed")

    [line] = lines(capsys)
    assert "ValueError: two\nlines" in str(line["exc_info"])


def test_an_exporter_says_the_same_seldom(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("INFO", "json")
    exporter = logging.getLogger("opentelemetry.exporter.otlp.proto.grpc.exporter")
    for attempt in range(1000):
        exporter.error("Failed to export %s, attempt %d", "traces", attempt)
        exporter.warning("Transient error, retrying in %.2fs", attempt)

    assert [line["level"] for line in lines(capsys)] == ["ERROR", "WARNING"]


def test_what_was_held_back_is_said_again_after_a_while() -> None:
    now = [0.0]
    seldom = SeldomFilter(60.0, clock=lambda: now[0])
    record = logging.LogRecord("a", logging.ERROR, __file__, 1, "away", None, None)

    passed = []
    for moment in (0.0, 1.0, 59.0, 60.0, 61.0, 121.0):
        now[0] = moment
        passed.append(seldom.filter(record))
    assert passed == [True, False, False, True, False, True]


def test_a_traceparent_that_is_worth_a_line_itself_is_no_trace_s_name(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("INFO", "json")

    def call() -> None:
        LogContext(Unobserved()).call("Classify", [("traceparent", "0" * 10_000)], "somebody", 1.0)
        for _ in range(2):
            logging.getLogger("intently_server").info("in a call")

    contextvars.copy_context().run(call)
    ids = [(line["trace_id"], line["span_id"]) for line in lines(capsys) if line["message"] == "in a call"]
    assert ids == ids[:1] * 2
    assert None not in ids[0]


def test_a_front_end_s_lines_have_its_number(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("INFO", front_end=1)
    logging.getLogger("intently_server.app").info("serving %s", "mini")
    assert capsys.readouterr().err.endswith(" INFO front end 1 intently_server.app: serving mini\n")

    configure_logs("INFO", "json", front_end=1)
    logging.getLogger("intently_server.app").info("serving")
    configure_logs("INFO", "json")
    logging.getLogger("intently_server.app").info("serving")
    one, alone = lines(capsys)
    assert one["front_end"] == 1
    assert "front_end" not in alone
