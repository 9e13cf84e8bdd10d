"""Where the time of a call goes: what a page of metrics says now, less what it said before."""

import pytest

from support.benchmarks.inside import means_ms, sums_of


def page(calls: int, seconds: float, queue_s: float) -> str:
    """Of a server that has answered so many calls."""
    return f"""\
# TYPE rpc_server_call_duration_seconds histogram
rpc_server_call_duration_seconds_bucket{{rpc_method="Classify",le="+Inf"}} {calls}
rpc_server_call_duration_seconds_sum{{rpc_method="Classify"}} {seconds}
rpc_server_call_duration_seconds_count{{rpc_method="Classify"}} {calls}
# TYPE intently_server_stage_duration_seconds histogram
intently_server_stage_duration_seconds_bucket{{intently_stage="queue",le="+Inf"}} {calls}
intently_server_stage_duration_seconds_sum{{intently_stage="queue"}} {queue_s}
intently_server_stage_duration_seconds_count{{intently_stage="queue"}} {calls}
"""


def test_only_what_was_answered_meanwhile_counts() -> None:
    means = means_ms(sums_of(page(10, 1.0, 0.5)), sums_of(page(30, 1.2, 0.51)))

    assert means == pytest.approx({"the call": 10.0, "queue": 0.5})


def test_what_did_not_happen_is_left_out() -> None:
    assert means_ms(sums_of(page(10, 1.0, 0.5)), sums_of(page(10, 1.0, 0.5))) == {}
    assert means_ms(sums_of(""), sums_of("")) == {}
