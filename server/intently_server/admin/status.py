"""All that /statusz shows, as one document of plain values."""

from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from intently_server.model import Model
from intently_server.settings import Settings
from intently_server.telemetry import FrontEndVitals, Telemetry
from intently_server.telemetry.figures import Failure
from intently_server.telemetry.window import SHARES

Document = dict[str, Any]


class StatusReport:
    """Reads the server's state.

    Args:
        telemetry: Counts and state.
        model: What is served.
        settings: How.
        address: Where.
    """

    def __init__(self, telemetry: Telemetry, model: Model, settings: Settings, address: str) -> None:
        self._telemetry = telemetry
        self._model = model
        self._settings = {name: _shown(getattr(settings, name)) for name in sorted(Settings.model_fields)}
        self._address = address

    def read(self) -> Document:
        """The document, at this moment. It has nothing that a user said, and no secrets."""
        self._telemetry.ledger.settle()
        vitals = self._telemetry.vitals
        return {
            "server": {
                "version": self._telemetry.version,
                "address": self._address,
                "phase": vitals.phase.value,
                "uptime_s": round(vitals.uptime_s, 1),
            },
            "model": {
                "name": self._model.name,
                "revision": self._model.revision,
                "label_set_version": self._model.label_set_version,
                "intents": list(self._model.intents),
            },
            "load": self._load(),
            **self._front_ends(),
            "last_minute": self._last_minute(),
            "calls": self._calls(),
            "last_errors": [_failure(each) for each in reversed(self._telemetry.figures.failures)],
            "settings": self._settings,
        }

    def _load(self) -> Document:
        vitals = self._telemetry.vitals
        requests, engine = vitals.requests(), vitals.engine()
        rate = requests.requests_per_s
        return {
            "calls": vitals.calls,
            "streams": self._telemetry.figures.streams,
            "requests_in_flight": requests.in_flight,
            "requests_queued": requests.queued,
            "tokens_queued": requests.queued_tokens,
            "capacity_per_s": None if rate is None else round(rate, 1),
            "engine_running": engine.running,
            "engine_waiting": engine.waiting,
        }

    def _front_ends(self) -> Document:
        """Nothing of a server that is one process."""
        rows = [_front_end(each) for each in self._telemetry.vitals.front_ends()]
        return {"front_ends": rows} if rows else {}

    def _last_minute(self) -> Document:
        minute = self._telemetry.window.last_minute()
        share = minute.cached_share
        return {
            "seconds": round(minute.seconds, 1),
            "answers": minute.answers,
            "cached_token_share": None if share is None else round(share, 3),
            "calls_by_status": dict(minute.statuses),
            "latency_ms": {
                name: {
                    f"p{share * 100:g}": None if value is None else round(value * 1000, 3)
                    for share, value in zip(SHARES, values, strict=True)
                }
                for name, values in minute.latencies.items()
            },
        }

    def _calls(self) -> list[Document]:
        rows = sorted(self._telemetry.figures.calls.items())
        return [
            {"method": method, "status": status, "reason": reason, "count": count}
            for (method, status, reason), count in rows
        ]


def _front_end(each: FrontEndVitals) -> Document:
    return {
        "front_end": each.place,
        "pid": each.pid,
        "phase": None if each.phase is None else each.phase.value,
        "answers": each.answers,
        "calls": each.calls,
        "requests_in_flight": each.in_flight,
        "memory_mib": None if each.memory is None else round(each.memory / (1 << 20), 1),
    }


def _failure(failure: Failure) -> Document:
    return {
        "time": datetime.fromtimestamp(failure.time_s, UTC).isoformat(timespec="milliseconds"),
        "method": failure.method,
        "status": failure.status,
        "reason": failure.reason,
        "fields": list(failure.fields),
        "exception": failure.exception,
    }


def _shown(value: object) -> object:
    """A setting as people may see it: without secrets. URLs have no credentials, or they are refused."""
    if isinstance(value, SecretStr):
        return "***"
    if isinstance(value, list | tuple):
        return [_shown(each) for each in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)
