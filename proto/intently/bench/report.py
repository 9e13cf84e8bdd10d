"""Everything that a run measured, as JSON. No utterance and no value of metadata is in it."""

import dataclasses
import importlib.metadata
import os
import platform
from collections import Counter
from datetime import datetime
from typing import Any

from intently.bench.collector import Second
from intently.bench.ending import Ending
from intently.bench.histogram import DIGITS, HIGHEST_US, Histogram
from intently.bench.plan import Plan
from intently.bench.studies.kind import Kind
from intently.bench.studies.order import Order
from intently.bench.studies.study import Found, Run, Study
from intently.bench.tally import Label, Tally

FORMAT = 1
_PACKAGES = ("intently", "grpcio", "protobuf", "hdrhistogram", "uvloop")


def as_fields(order: Order, study: Study, ending: Ending, started: datetime) -> dict[str, Any]:
    """The report. Times are in seconds; histograms are in HdrHistogram's V2 format, their unit microseconds.

    A single run stands at the top; of the other kinds each run stands in `runs`. What is withheld is not there.
    """
    head = {
        "format": FORMAT,
        "kind": study.kind.value,
        "started": started.isoformat(timespec="milliseconds"),
        "options": _options(order.plans[0]),
        "targets": [{"address": plan.address, "speaks": plan.target.kind.value} for plan in order.plans],
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES}
        | {"python": platform.python_version()},
        "machine": {"system": platform.platform(), "processors": os.cpu_count()},
        "parent_cpu": round(study.parent_cpu, 4),
    }
    if study.kind is Kind.RUN:
        body = _figures(study.runs[0], ending.withheld)
    else:
        body = {"runs": [_heading(run) | _figures(run, ending.withholds(study, run)) for run in study.runs]}
        if not ending.withheld:
            body |= {"found": [_found(each) for each in study.found]}
            body |= {"ratios": {name: dataclasses.asdict(ratio) for name, ratio in study.ratios}}
    return head | body | _tail(ending)


def _tail(ending: Ending) -> dict[str, Any]:
    return {
        "limited_by_generator": bool(ending.limits),
        "limits": list(ending.limits),
        "withheld": ending.withheld,
        "failures": list(ending.failures),
        "interrupted": ending.interrupted,
        "exit_code": ending.exit_code,
    }


def _heading(run: Run) -> dict[str, Any]:
    return {
        "target": run.target,
        "number": run.number,
        "rate": run.plan.rate,
        "concurrency": None if run.plan.rate is not None else run.plan.concurrency,
        "cut_short": run.cut_short,
        "limits": list(run.limits),
    }


def _figures(run: Run, withheld: bool) -> dict[str, Any]:
    return _processes(run) | ({} if withheld else _run(run))


def _run(run: Run) -> dict[str, Any]:
    result = run.result
    return {
        "window_s": round(result.window_s, 6),
        "sent_per_s": round(result.sent_per_s, 3),
        "answered_per_s": round(result.answered_per_s, 3),
        "total": _tally(result.total),
        "unsent": result.unsent,
        "unfinished": result.unfinished,
        "lost": result.lost,
        "answered_twice": result.answered_twice,
        "loop_lag": _histogram(result.loop_lag),
        "series": [_second(each) for each in result.series],
    }


def _processes(run: Run) -> dict[str, Any]:
    return {
        "processes": [
            {
                "name": each.name,
                "cpu": round(each.cpu, 4),
                "loop_cpu": round(each.loop_cpu, 4),
                "sent": each.sent,
                "fault": each.fault,
            }
            for each in run.result.processes
        ]
    }


def _found(found: Found) -> dict[str, Any]:
    return {
        "target": found.target,
        "slo": {"percentile": found.slo.percent, "limit_s": found.slo.limit_s},
        "rate": found.rate,
        "sent_per_s": round(found.sent_per_s, 3),
        "failed_above": found.failed_above,
        "confirmed": found.confirmed,
        "probes": [dataclasses.asdict(each) for each in found.probes],
    }


def _options(plan: Plan) -> dict[str, Any]:
    hidden = {"utterances", "metadata", "credentials", "token_ids", "frame"}
    shown = {name: getattr(plan, name) for name in Plan.__dataclass_fields__ if name not in hidden}
    return {name: getattr(value, "value", value) for name, value in shown.items()} | {
        "distinct_utterances": len(set(plan.utterances)),
        "by_token_ids": bool(plan.token_ids),
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
