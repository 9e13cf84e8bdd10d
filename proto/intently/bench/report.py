"""Everything that a run measured, as JSON. No utterance and no value of metadata is in it."""

import importlib.metadata
import os
import platform
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from intently.bench.collector import Second
from intently.bench.histogram import DIGITS, HIGHEST_US, Histogram
from intently.bench.plan import Plan
from intently.bench.result import Result
from intently.bench.tally import Label, Tally
from intently.bench.verdict import Verdict

FORMAT = 1
_PACKAGES = ("intently", "grpcio", "protobuf", "hdrhistogram", "uvloop")


@dataclass(frozen=True, slots=True)
class Ending:
    """What the figures mean.

    Attributes:
        verdict: Whether the generator was the limit.
        failures: What makes the exit code 1.
        interrupted: Whether the run was stopped before its end.
        limited_is_failure: Whether the verdict makes the exit code 3.
    """

    verdict: Verdict
    failures: tuple[str, ...]
    interrupted: bool
    limited_is_failure: bool

    @property
    def exit_code(self) -> int:
        """1 before 3 before 0."""
        if self.failures:
            return 1
        return 3 if self.limited_is_failure else 0


def as_fields(plan: Plan, result: Result, ending: Ending, started: datetime) -> dict[str, Any]:
    """The report. Times are in seconds; histograms are in HdrHistogram's V2 format, their unit microseconds."""
    return {
        "format": FORMAT,
        "started": started.isoformat(timespec="milliseconds"),
        "options": _options(plan),
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES}
        | {"python": platform.python_version()},
        "machine": {"system": platform.platform(), "processors": os.cpu_count()},
        "window_s": round(result.window_s, 6),
        "sent_per_s": round(result.sent_per_s, 3),
        "answered_per_s": round(result.answered_per_s, 3),
        "total": _tally(result.total),
        "unsent": result.unsent,
        "unfinished": result.unfinished,
        "lost": result.lost,
        "answered_twice": result.answered_twice,
        "loop_lag": _histogram(result.loop_lag),
        "processes": [
            {
                "name": each.name,
                "cpu": round(each.cpu, 4),
                "loop_cpu": round(each.loop_cpu, 4),
                "sent": each.sent,
                "fault": each.fault,
            }
            for each in result.processes
        ],
        "series": [_second(each) for each in result.series],
        "limited_by_generator": ending.verdict.limited_by_generator,
        "limits": list(ending.verdict.reasons),
        "failures": list(ending.failures),
        "interrupted": ending.interrupted,
        "exit_code": ending.exit_code,
    }


def _options(plan: Plan) -> dict[str, Any]:
    secret = {"utterances", "metadata", "credentials"}
    shown = {name: getattr(plan, name) for name in Plan.__dataclass_fields__ if name not in secret}
    return {name: getattr(value, "value", value) for name, value in shown.items()} | {
        "distinct_utterances": len(set(plan.utterances)),
        "tls": plan.credentials.tls,
        "metadata_keys": sorted({key for key, _ in plan.metadata}),
    }


def _tally(tally: Tally) -> dict[str, Any]:
    return {
        "sent": tally.sent,
        "held_back": tally.held_back,
        "answered": tally.answered,
        "errors": tally.errors,
        "by_status": _by_status(tally.items),
        "outcomes_sampled": dict(tally.outcomes.most_common()),
        "latency": _histogram(tally.latency),
        "failed_latency": _histogram(tally.failed),
        "scheduling_lag": _histogram(tally.lag),
    }


def _histogram(histogram: Histogram) -> dict[str, Any]:
    return {
        "count": histogram.count,
        "min": histogram.least,
        **{f"p{percent:g}": value for percent, value in histogram.percentiles().items()},
        "max": histogram.most,
        "mean": round(histogram.mean, 6),
        "hdr": {"data": histogram.encode(), "unit": "us", "highest": HIGHEST_US, "digits": DIGITS},
    }


def _second(second: Second) -> dict[str, Any]:
    return {
        "second": second.number,
        "phase": second.phase.value,
        "wall_s": round(second.wall_s, 6),
        "sent": second.sent,
        "by_status": _by_status(second.items),
        "in_flight": second.in_flight,
        "waiting": second.waiting,
        "cpu_s": round(second.cpu_s, 6),
        "latency": {f"p{percent:g}": value for percent, value in second.latency.items()} | {"max": second.latency_max},
        "scheduling_lag_p99": second.lag_p99,
        "loop_lag_p99": second.loop_lag_p99,
    }


def _by_status(items: Counter[Label]) -> list[dict[str, str | int]]:
    return [
        {"status": status, "reason": reason, "utterances": number} for (status, reason), number in items.most_common()
    ]
