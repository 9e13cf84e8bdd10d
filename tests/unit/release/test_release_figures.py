"""Figures: which statistics of Envoy stand for what, for each color, and none made up where some are missing."""

from intently_release.colors import Color
from intently_release.judge.figures import figures_of
from intently_release.proxy.answers import Measured
from intently_release.proxy.histogram import Bucket, Histogram

SERVICE = "grpc.intently_v1_IntentService"
SERVER = {"server.uptime": 7, "server.hot_restart_epoch": 0}
ALWAYS = {
    "cluster.green-first.upstream_rq_retry": 0,
    "cluster.green-first.upstream_rq_retry_overflow": 0,
    "cluster.green-first.upstream_rq_active_overflow": 0,
    "cluster.green-first.upstream_rq_pending_overflow": 0,
    "cluster.green.upstream_rq_active": 0,
    "cluster.green.upstream_rq_active_overflow": 0,
    "cluster.green.upstream_rq_pending_overflow": 0,
    "cluster.green.membership_healthy": 2,
    "cluster.green.membership_total": 3,
    "cluster.green.membership_excluded": 1,
    "cluster.green.outlier_detection.ejections_active": 0,
    "cluster.green.outlier_detection.ejections_enforced_total": 0,
}


def figures(counts: dict[str, int], histograms: dict[str, Histogram] | None = None) -> dict[str, object]:
    """Fields of green's figures, where Envoy tells these beside what it always tells."""
    found = figures_of(Color.GREEN, Measured({**SERVER, **ALWAYS, **counts}, histograms or {}), at=100.0)
    assert found is not None
    return {name: getattr(found, name) for name in found.__slots__} | {"started_at": found.started_at}


def test_a_color_that_nobody_called_has_counted_nothing() -> None:
    found = figures({})

    assert found["codes"] == {}
    assert found["latency"] == Histogram()
    assert (found["healthy"], found["pending"], found["total"]) == (2, 1, 3)
    assert found["started_at"] == 93.0


def test_calls_are_counted_by_status_over_all_methods() -> None:
    found = figures(
        {
            f"cluster.green-first.{SERVICE}.Classify.0": 40,
            f"cluster.green-first.{SERVICE}.Classify.13": 2,
            f"cluster.green-first.{SERVICE}.BatchClassify.0": 5,
            f"cluster.green-first.{SERVICE}.ClassifyStream.14": 1,
            f"cluster.green-first.{SERVICE}.Classify.request_message_count": 45,
            f"cluster.green-first.{SERVICE}.BatchClassify.request_message_count": 6,
            f"cluster.green-first.{SERVICE}.ClassifyStream.request_message_count": 900,
        }
    )

    assert found["codes"] == {0: 45, 13: 2, 14: 1}
    assert found["silent"] == 5
    assert found["singles"] == 42
    assert (found["begun"], found["ended"]) == (51, 47)


def test_other_colors_clusters_and_services_are_left_alone() -> None:
    found = figures(
        {
            f"cluster.blue-first.{SERVICE}.Classify.0": 40,
            f"cluster.green.{SERVICE}.Classify.0": 40,
            "cluster.green-first.grpc.intently_v1_ModelService.ListModels.0": 40,
            "cluster.green-first.grpc.grpc_health_v1_Health.Check.0": 40,
        }
    )

    assert found["codes"] == {}


def test_latency_is_of_single_calls() -> None:
    single, stream = Histogram((Bucket(5, 0.1, 3),)), Histogram((Bucket(9000, 100, 3),))

    found = figures(
        {},
        {
            f"cluster.green-first.{SERVICE}.Classify.upstream_rq_time": single,
            f"cluster.green-first.{SERVICE}.ClassifyStream.upstream_rq_time": stream,
            "cluster.green-first.upstream_rq_time": stream,
        },
    )

    assert found["latency"] == single


def test_overflow_is_wherever_envoy_counts_it() -> None:
    found = figures(
        {
            "cluster.green.upstream_rq_active_overflow": 1,
            "cluster.green.upstream_rq_pending_overflow": 2,
            "cluster.green-first.upstream_rq_active_overflow": 4,
            "cluster.green-first.upstream_rq_pending_overflow": 8,
            "cluster.green-first.upstream_rq_retry_overflow": 16,
            "cluster.green-first.upstream_rq_retry": 32,
        }
    )

    assert (found["overflow"], found["retries"]) == (31, 32)


def test_a_color_of_which_something_is_missing_has_no_figures() -> None:
    for missing in [*ALWAYS, *SERVER]:
        told = {name: count for name, count in {**SERVER, **ALWAYS}.items() if name != missing}
        assert figures_of(Color.GREEN, Measured(told), at=100.0) is None, missing
    assert figures_of(Color.BLUE, Measured({**SERVER, **ALWAYS}), at=100.0) is None
