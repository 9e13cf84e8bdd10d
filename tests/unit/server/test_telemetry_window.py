"""The last minute: what came before it is forgotten."""

import pytest

from intently_server.bundle import Bundle
from intently_server.telemetry.figures import Figures
from intently_server.telemetry.window import TOTAL, Window
from intently_server.types import Classification, Decision, Outcome, Prediction, Stages

METHOD = "intently.v1.IntentService/Classify"
ANSWER = Classification(Decision(Outcome.MATCHED, (Prediction("alarm", 0.9, 3.0),), 0.1), 200, 150, truncated=False)


def test_latencies_statuses_and_tokens_of_the_last_minute(bundle: Bundle) -> None:
    now = [0.0]
    figures = Figures(bundle.model)
    window = Window(figures, clock=lambda: now[0])

    def answer(seconds: float) -> None:
        arrived, admitted, encoded, started, inferred, decided = (
            seconds * share for share in (0, 0.01, 0.02, 0.03, 0.99, 1)
        )
        figures.answered(METHOD, Stages(arrived, admitted, encoded, started, inferred, decided), ANSWER, 0.0, None)
        figures.ended(METHOD, seconds, "OK", "", None, 0.0, None)

    for _ in range(100):
        answer(2.0)
    for step in range(1, 13):
        now[0] = step * 5.0
        window.remember()
    figures.ended(METHOD, 0.1, "UNAVAILABLE", "INTERNAL", RuntimeError(), 0.0, None)
    for _ in range(50):
        answer(0.0098)

    minute = window.last_minute()
    assert minute.seconds == 55.0
    assert minute.answers == 50
    assert minute.statuses == {"OK": 50, "UNAVAILABLE": 1}
    assert minute.cached_share == pytest.approx(0.75)
    assert all(value is not None and 0.0075 <= value <= 0.01 for value in minute.latencies[TOTAL])
    assert all(value is not None and 0.0075 <= value <= 0.01 for value in minute.latencies["inference"])


def test_a_minute_in_which_nothing_happened(bundle: Bundle) -> None:
    minute = Window(Figures(bundle.model)).last_minute()

    assert (minute.answers, minute.cached_share) == (0, None)
    assert set(minute.latencies[TOTAL]) == {None}
