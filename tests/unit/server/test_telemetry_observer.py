"""What telemetry keeps of an error until it is counted: why, and nothing of the request that it ended."""

import gc
import weakref
from collections.abc import Callable

import pytest

from intently_server.bundle import Bundle
from intently_server.errors import InvalidInput, Overloaded
from intently_server.telemetry.figures import Figures
from intently_server.telemetry.ledger import Ledger
from intently_server.telemetry.observer import TelemetryObserver
from intently_server.types import Stages

BATCH = "intently.v1.IntentService/BatchClassify"
ERRORS: dict[str, Callable[[], Exception]] = {
    "INVALID_INPUT": lambda: InvalidInput.of("requests", "has too many"),
    "OVERLOADED": lambda: Overloaded("full", 0.1),
    "INTERNAL": lambda: ExceptionGroup("several", [RuntimeError("boom")]),
}


class Request:
    """What a caller sent."""


def failed_with(make: Callable[[], Exception]) -> tuple[Exception, "weakref.ref[Request]"]:
    """An error that went through a frame which had the request, with another as its cause."""

    def answer(request: Request) -> None:
        try:
            raise ValueError(str(id(request)))
        except ValueError as cause:
            raise make() from cause

    request = Request()
    gone = weakref.ref(request)
    try:
        answer(request)
    except Exception as error:
        return error, gone
    raise AssertionError


@pytest.mark.parametrize("reason", ERRORS)
def test_a_request_that_failed_is_not_kept(bundle: Bundle, reason: str) -> None:
    figures = Figures(bundle.model)
    ledger = Ledger(figures)
    observer = TelemetryObserver(figures, ledger, None, None)
    call = observer.call(BATCH, (), "somebody", 1.0)
    error, gone = failed_with(ERRORS[reason])
    call.classified("", Stages(1.0), error)
    call.ended("SOME_STATUS", error)
    observer.refused(BATCH, "SOME_STATUS", error)

    del error
    gc.collect()

    assert gone() is None
    ledger.settle()
    assert figures.calls == {(BATCH, "SOME_STATUS", reason): 2}
    assert {failure.fields for failure in figures.failures} == {("requests",) if reason == "INVALID_INPUT" else ()}
