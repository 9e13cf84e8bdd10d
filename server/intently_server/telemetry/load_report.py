"""ORCA load reports: what a balancer that weighs its servers by their load reads in the trailers of answers.

The message is xds.data.orca.v3.OrcaLoadReport. Its fields that are used here are described below rather than imported:
the package that has them brings old copies of OpenTelemetry's and Google's messages too, over the right ones.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from intently_server.observer import Metadata
from intently_server.telemetry.figures import Figures
from intently_server.telemetry.ledger import Ledger
from intently_server.telemetry.vitals import Vitals

LOAD_REPORT_METADATA = "endpoint-load-metrics-bin"

_INTERVAL_S = 0.1  # a report is made anew at most this often
_RATE_OVER_S = 1.0


class LoadReports:
    """Makes load reports.

    application_utilization is the share of the requests that this server takes which are in flight; rps_fractional and
    eps are calls and failed calls a second, over the last second; named_metrics has queued_requests and queued_tokens.
    A front end that is one of several takes the others to have as much to do: what a balancer weighs is the server.

    Args:
        figures: What was counted.
        ledger: What is still to be counted.
        vitals: What there is to do.
        front_ends: How many processes answer for this server, this one included.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        figures: Figures,
        ledger: Ledger,
        vitals: Vitals,
        front_ends: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._figures = figures
        self._ledger = ledger
        self._vitals = vitals
        self._front_ends = front_ends
        self._clock = clock
        self._message = load_report_message()
        self._samples: deque[tuple[float, int, int]] = deque([(clock(), 0, 0)])
        self._made = float("-inf")
        self._trailers: Metadata = ()

    def trailers(self) -> Metadata:
        """Trailing metadata with a report that is at most 100 ms old."""
        now = self._clock()
        if now - self._made >= _INTERVAL_S:
            self._made = now
            self._trailers = ((LOAD_REPORT_METADATA, self._report(now)),)
        return self._trailers

    def _report(self, now: float) -> bytes:
        self._ledger.settle()
        calls_per_s, errors_per_s = self._rates(now)
        load, all_of_us = self._vitals.requests(), self._front_ends
        report = self._message(
            application_utilization=load.in_flight / self._vitals.max_in_flight,
            rps_fractional=calls_per_s * all_of_us,
            eps=errors_per_s * all_of_us,
            named_metrics={
                "queued_requests": load.queued * all_of_us,
                "queued_tokens": load.queued_tokens * all_of_us,
            },
        )
        data: bytes = report.SerializeToString()
        return data

    def _rates(self, now: float) -> tuple[float, float]:
        calls = self._figures.calls
        ended, failed = calls.total(), sum(count for (_, status, _), count in calls.items() if status != "OK")
        self._samples.append((now, ended, failed))
        while len(self._samples) > 2 and now - self._samples[1][0] >= _RATE_OVER_S:
            self._samples.popleft()
        since, ended_then, failed_then = self._samples[0]
        seconds = max(now - since, _INTERVAL_S)
        return (ended - ended_then) / seconds, (failed - failed_then) / seconds


def load_report_message() -> Any:
    """The class of the message, with the fields that are used, in a descriptor pool of its own."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="orca_load_report.proto", package="xds.data.orca.v3", syntax="proto3"
    )
    message = file.message_type.add(name="OrcaLoadReport")
    for name, number in (("rps_fractional", 6), ("eps", 7), ("application_utilization", 9)):
        message.field.add(name=name, number=number, type=field.TYPE_DOUBLE, label=field.LABEL_OPTIONAL)
    entry = message.nested_type.add(name="NamedMetricsEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    entry.field.add(name="value", number=2, type=field.TYPE_DOUBLE, label=field.LABEL_OPTIONAL)
    message.field.add(
        name="named_metrics",
        number=8,
        type=field.TYPE_MESSAGE,
        label=field.LABEL_REPEATED,
        type_name=".xds.data.orca.v3.OrcaLoadReport.NamedMetricsEntry",
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("xds.data.orca.v3.OrcaLoadReport"))
