"""What a server of several front ends tells is what all of them have done, also one that was killed."""

import asyncio
import contextlib
import json
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from intently.v1 import intent_service_pb2 as pb
from support.admin_caller import Metrics, get, metrics, statusz, wait_sum
from support.otlp_collector import Collector
from support.paths import ROOT
from support.stream_caller import StreamCaller
from support.together import FRONT_ENDS, Together, connections, together

DOCUMENTED = re.compile(r"^\| `[a-z0-9_.]+` \| `([a-z0-9_]+)` \| (counter|histogram|gauge) \|", re.MULTILINE)
OTHERS = ("python_", "process_", "target_info", "target", "vllm:")
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
SENT = 8 * FRONT_ENDS  # calls, by `send`; of the utterances as many are answered


async def test_all_that_is_told_is_of_all(tmp_path: Path, collector: Collector) -> None:
    async with running(tmp_path, collector) as server:
        await send(server)
        await check_metrics(server)
        await check_status(server)
        await check_exemplars(server, collector)
        await check_counters_while_one_is_killed_and_replaced(server)
        server.process.terminate()
        assert await server.ended() == 0
    check_sent(collector)
    check_log(server)


async def test_while_one_starts_or_all_hang_nothing_is_told_that_is_not_so(tmp_path: Path) -> None:
    with together(tmp_path, "--batch", "1", "--step-ms", "10", "--max-wait", "60") as server:
        dead = await server.at(0)
        async with connections(server.own[1]) as [stub]:
            calls = [asyncio.ensure_future(stub.Classify(pb.ClassifyRequest(text="hello"))) for _ in range(120)]
            await wait_sum(server.admin, 1, "intently_engine_waiting_requests")
            server.core().send_signal(signal.SIGSTOP)  # so they wait, and who comes cannot sit down
            dead.kill()
            while (await server.rows())[0]["phase"] != "starting":
                assert not all(call.done() for call in calls)
            shown = await metrics(server.admin)
            for name in ("intently_engine_running_requests", "vllm:num_requests_running"):
                assert shown.sum(name) == 1
            for name in ("intently_engine_waiting_requests", "vllm:num_requests_waiting"):
                assert shown.sum(name) > 0
            assert (await get(server.admin, "/readyz")).status == 200

            (await server.at(1)).send_signal(signal.SIGSTOP)
            assert (await get(server.admin, "/readyz")).status == 503
            for call in calls:
                call.cancel()


@contextlib.asynccontextmanager
async def running(folder: Path, collector: Collector) -> AsyncIterator[Together]:
    """A server that sends all it can. It starts and ends in a thread, since the collector is to answer meanwhile."""
    sending = ("--otlp-endpoint", collector.endpoint, "--otlp-metrics", "--trace-sample-ratio", "1")
    starting = together(folder, *sending, "--log-format", "json", "--drain-delay", "0")
    server = await asyncio.to_thread(starting.__enter__)
    try:
        yield server
    finally:
        await asyncio.to_thread(starting.__exit__, None, None, None)


async def send(server: Together) -> None:
    """Calls each front end eight times: five are answered, two refused, and a stream has three items."""
    for address in server.own:
        async with connections(address) as [stub]:
            for text in ("hello", "what", "is", "", "new", "", "here"):
                with contextlib.suppress(grpc.aio.AioRpcError):
                    await stub.Classify(pb.ClassifyRequest(text=text))
            stream = StreamCaller(stub)
            await stream.open()
            for number in range(3):
                await stream.item(str(number))
            await stream.finish()


async def check_metrics(server: Together) -> None:
    seen = await metrics(server.admin)
    assert counts(seen) == (SENT, SENT)
    assert seen.sum("intently_server_calls_total", intently_reason="INVALID_INPUT") == 2 * FRONT_ENDS
    assert seen.sum("intently_server_utterances_total", intently_reason="") == SENT
    assert seen.sum("intently_server_stage_duration_seconds_count", intently_stage="inference") == SENT
    assert seen.sum("intently_server_front_end_up") == FRONT_ENDS
    assert seen.sum("intently_server_info") == 1
    documented = dict(DOCUMENTED.findall((ROOT / "docs" / "telemetry.md").read_text(encoding="utf-8")))
    shown = {name: family.type for name, family in seen.families.items() if not name.startswith(OTHERS)}
    assert shown == documented


async def check_status(server: Together) -> None:
    status = await statusz(server.admin)
    assert status["server"]["phase"] == "serving"
    assert sum(row["count"] for row in status["calls"]) == SENT
    assert status["last_minute"]["answers"] == SENT
    assert len(status["last_errors"]) == 2 * FRONT_ENDS
    assert [row["front_end"] for row in status["front_ends"]] == list(range(FRONT_ENDS))
    assert {row["pid"] for row in status["front_ends"]} == {process.pid for process in server.front_ends()}
    assert all(row["memory_mib"] > 10 for row in status["front_ends"])
    for path in ("/readyz", "/healthz"):
        assert (await get(server.admin, path)).status == 200


async def check_exemplars(server: Together, collector: Collector) -> None:
    """They name traces of calls, which all front ends have sent."""
    page = (await get(server.admin, "/metrics", accept=OPENMETRICS)).text
    named = {
        sample.exemplar.labels["trace_id"]
        for family in text_string_to_metric_families(page)  # type: ignore[no-untyped-call]  # not typed
        for sample in family.samples
        if sample.exemplar is not None
    }
    assert named
    while not named <= {span.trace_id.hex() for span in collector.spans}:  # noqa: ASYNC110  # they come when they come
        await asyncio.sleep(0.02)
    while instances(collector.resources) < FRONT_ENDS:  # noqa: ASYNC110  # as above
        await asyncio.sleep(0.02)


async def check_counters_while_one_is_killed_and_replaced(server: Together) -> None:
    seen = []
    dead = await server.at(0)
    answered = (await metrics(server.admin)).sum("vllm:request_success_total")
    assert answered > SENT  # with those of the warm-ups, each front end's own
    dead.kill()
    while (await server.rows())[0]["pid"] == dead.pid:
        seen.append(counts(await metrics(server.admin)))
    gone = await metrics(server.admin)
    seen.append(counts(gone))
    await server.replaced(dead)
    seen.append(counts(await metrics(server.admin)))
    assert set(seen) == {(SENT, SENT)}
    assert gone.sum("intently_server_active_streams") == 0
    assert gone.sum("vllm:request_success_total") == answered
    assert (await get(server.admin, "/readyz")).status == 200

    await send(server)
    after = await metrics(server.admin)
    assert counts(after) == (2 * SENT, 2 * SENT)
    assert after.sum("intently_server_front_end_up") == FRONT_ENDS


def check_sent(collector: Collector) -> None:
    """Metrics by one instance, all of them in the end; traces by each front end."""
    assert instances(collector.senders) == 1
    last = collector.metrics[-1]
    assert sum(point.as_int for point in last["intently.server.calls"].sum.data_points) == 2 * SENT
    assert sum(point.count for point in last["rpc.server.call.duration"].histogram.data_points) == 2 * SENT
    assert instances(collector.resources) == FRONT_ENDS + 1


def check_log(server: Together) -> None:
    """Lines of JSON, but for what the command says to people."""
    lines: list[dict[str, Any]] = [
        json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")
    ]
    assert {line.get("front_end") for line in lines} == {None, *range(FRONT_ENDS)}


def counts(seen: Metrics) -> tuple[float, float]:
    """Calls, and their durations."""
    return seen.sum("intently_server_calls_total"), seen.sum("rpc_server_call_duration_seconds_count")


def instances(resources: list[dict[str, Any]]) -> int:
    """How many have sent something."""
    return len({each["service.instance.id"] for each in resources})
