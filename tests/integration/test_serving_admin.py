"""The admin port over a real socket: what it shows, in every phase of the server's life, and that it is read-only."""

import asyncio
import re
from pathlib import Path

import aiohttp
import grpc
import pytest

from intently.v1 import intent_service_pb2 as pb
from intently_server.app import serve
from intently_server.bundle import Bundle
from intently_server.lifecycle import Phase
from intently_server.listening import AddressError
from intently_server.settings import Settings
from support.admin_caller import ADMIN_PATHS, admin_address, get, metrics, statusz
from support.in_memory import InMemory, StartInMemory
from support.memory_engine import MemoryEngineFactory
from support.paths import ROOT
from support.serving import free_address, serving
from support.stream_caller import StreamCaller

CLASSIFY = "intently.v1.IntentService/Classify"
OF_SEVERAL = "intently_server_front_end_"  # these a server by itself does not have
DOCUMENTED = re.compile(r"^\| `[a-z0-9_.]+` \| `([a-z0-9_]+)` \| (counter|histogram|gauge) \|", re.MULTILINE)
OTHERS = ("python_", "process_", "target_info", "target", "vllm:")


@pytest.fixture
def ready_file(tmp_path: Path) -> Path:
    """Where the server writes its addresses."""
    return tmp_path / "ready.json"


@pytest.fixture
async def watched(start_in_memory: StartInMemory, ready_file: Path) -> InMemory:
    """A server with an admin port, whose address is in the ready file."""
    return await start_in_memory(ready_file=ready_file)


@pytest.fixture
def admin(watched: InMemory, ready_file: Path) -> str:
    """The address of its admin port."""
    return admin_address(ready_file)


async def test_a_serving_server_is_alive_and_ready(admin: str) -> None:
    for path in ("/healthz", "/readyz"):
        page = await get(admin, path)
        assert (page.status, page.text) == (200, "serving\n")


@pytest.mark.parametrize("path", ADMIN_PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_nothing_can_be_changed(admin: str, path: str, method: str) -> None:
    assert (await get(admin, path, method=method)).status == 405


async def test_readiness_follows_the_phases(bundle_path: Path, good_request: pb.ClassifyRequest) -> None:
    factory, address = MemoryEngineFactory(), free_address()
    factory.may_start.clear()
    async with serving(
        bundle_path, factory, address=free_address(), admin_address=address, drain_delay=0.5, drain_timeout=20
    ) as served:
        assert await phase_at(address, 503) == "starting"

        factory.may_start.set()
        assert await phase_at(address, 200) == "serving"

        factory.engine.hold()
        call = served.intents.Classify(good_request, wait_for_ready=True)
        await factory.engine.wait_running(1)
        served.stop.set()
        assert await phase_at(address, 503) == "leaving"
        while await phase_at(address, 503) == "leaving":  # noqa: ASYNC110  # a port has to be asked
            await asyncio.sleep(0.01)
        assert await phase_at(address, 503) == "draining"
        assert (await get(address, "/healthz")).status == 200
        phases = await metrics(address)
        assert {phase: phases.sum("intently_server_phase", intently_phase=phase.value) for phase in Phase} == {
            phase: float(phase is Phase.DRAINING) for phase in Phase
        }

        factory.engine.release()
        assert (await call).outcome
        assert await served.exit_code == 0
    with pytest.raises(aiohttp.ClientError):
        await get(address, "/healthz")


async def test_metrics_name_each_phase_of_the_way_down(bundle_path: Path, good_request: pb.ClassifyRequest) -> None:
    factory, address = MemoryEngineFactory(), free_address()
    async with serving(bundle_path, factory, admin_address=address, drain_delay=0.3, drain_timeout=20) as served:
        factory.engine.hold()
        factory.engine.may_end.clear()
        call = served.intents.Classify(good_request)
        await factory.engine.wait_running(1)
        seen = [await told_phase(address)]
        served.stop.set()
        while seen[-1] != "stopping":
            phase = await told_phase(address)
            if phase != seen[-1]:
                seen.append(phase)
            if phase == "draining":
                factory.engine.release()
            await asyncio.sleep(0.01)
        factory.engine.may_end.set()

        assert seen == ["serving", "leaving", "draining", "stopping"]
        assert (await call).outcome


async def test_a_call_s_duration_names_the_fault_of_the_server_and_no_other(
    watched: InMemory, admin: str, good_request: pb.ClassifyRequest
) -> None:
    await watched.served.intents.Classify(good_request)
    with pytest.raises(grpc.aio.AioRpcError):
        await watched.served.intents.Classify(pb.ClassifyRequest())
    watched.engine.fault = RuntimeError()
    with pytest.raises(grpc.aio.AioRpcError):
        await watched.served.intents.Classify(good_request)

    seen, count = await metrics(admin), "rpc_server_call_duration_seconds_count"
    told = {status: seen.sum(count, error_type=status) for status in ("", "INTERNAL", "INVALID_ARGUMENT")}
    assert told == {"": 2, "INTERNAL": 1, "INVALID_ARGUMENT": 0}


async def told_phase(address: str) -> str:
    """The one phase that /metrics says the server is in."""
    page = await metrics(address)
    [phase] = [each.value for each in Phase if page.sum("intently_server_phase", intently_phase=each.value)]
    return phase


async def phase_at(address: str, status: int) -> str:
    """The phase that /readyz names once it answers with this status; a test's own timeout bounds the wait."""
    while True:
        try:
            page = await get(address, "/readyz")
        except aiohttp.ClientError:
            await asyncio.sleep(0.01)
            continue
        if page.status == status:
            return page.text.strip()
        await asyncio.sleep(0.01)


async def test_a_dead_engine_is_told_to_probes(watched: InMemory, admin: str, good_request: pb.ClassifyRequest) -> None:
    watched.engine.hold()
    call = watched.served.intents.Classify(good_request)
    await watched.engine.wait_running(1)
    lived = (await get(admin, "/healthz")).status

    async def end() -> None:
        with pytest.raises(grpc.aio.AioRpcError):
            await call

    watched.engine.die()
    ending = asyncio.create_task(end())
    statuses = set()
    while not watched.served.exit_code.done():
        try:
            statuses.add((await get(admin, "/healthz")).status)
        except aiohttp.ClientError:
            break
    await ending
    assert lived == 200
    assert 503 in statuses


async def test_every_metric_is_documented_and_every_documented_metric_is_there(
    watched: InMemory, admin: str, good_request: pb.ClassifyRequest
) -> None:
    await watched.served.intents.Classify(good_request)

    text = (ROOT / "docs" / "telemetry.md").read_text(encoding="utf-8")
    documented = {name: kind for name, kind in DOCUMENTED.findall(text) if not name.startswith(OF_SEVERAL)}
    shown = {
        name: family.type for name, family in (await metrics(admin)).families.items() if not name.startswith(OTHERS)
    }
    assert documented
    assert shown == documented


async def test_calls_and_utterances_are_counted(
    watched: InMemory, admin: str, bundle: Bundle, good_request: pb.ClassifyRequest
) -> None:
    revision = bundle.model.revision
    intents = watched.served.intents
    answer = await intents.Classify(good_request)
    with pytest.raises(grpc.aio.AioRpcError):
        await intents.Classify(pb.ClassifyRequest())
    await intents.BatchClassify(pb.BatchClassifyRequest(requests=[good_request, pb.ClassifyRequest(), good_request]))

    seen = await metrics(admin)
    calls = {"rpc_method": CLASSIFY, "intently_revision": revision}
    assert seen.sum("intently_server_calls_total", **calls, rpc_response_status_code="OK") == 1
    assert seen.sum("intently_server_calls_total", **calls, intently_reason="INVALID_INPUT") == 1
    assert seen.sum("intently_server_calls_total", rpc_method="intently.v1.IntentService/BatchClassify") == 1
    assert seen.sum("intently_server_utterances_total", intently_outcome="error") == 2
    assert seen.sum("intently_server_utterances_total", intently_reason="") == 3
    assert seen.sum("intently_server_predictions_total") == 3
    assert seen.sum("intently_server_input_tokens_total") == 3 * answer.input_tokens
    assert seen.sum("rpc_server_call_duration_seconds_count") == 3
    assert seen.sum("gen_ai_server_request_duration_seconds_count", error_type="") == 3
    assert seen.sum("gen_ai_server_request_duration_seconds_count", error_type="INVALID_INPUT") == 2
    for stage in ("receive", "tokenize", "queue", "inference", "calibrate"):
        assert seen.sum("intently_server_stage_duration_seconds_count", intently_stage=stage) == 3
    assert seen.sum("intently_server_confidence_count") == 3
    assert seen.sum("intently_server_cached_token_share_count") == 3


async def test_what_is_under_way_is_shown(watched: InMemory, admin: str, good_request: pb.ClassifyRequest) -> None:
    watched.engine.hold()
    stream = StreamCaller(watched.served.intents)
    await stream.open()
    await stream.item("one")
    call = watched.served.intents.Classify(good_request)
    await watched.engine.wait_running(2)

    seen, status = await metrics(admin), await statusz(admin)
    watched.engine.release()
    await call
    await stream.finish()
    after = await metrics(admin)

    for name, busy in (
        ("intently_server_active_calls", 2),
        ("intently_server_active_streams", 1),
        ("intently_server_active_requests", 2),
        ("intently_engine_running_requests", 2),
    ):
        assert seen.sum(name) == busy
        assert after.sum(name) == 0
    assert status["load"]["streams"] == 1
    assert status["load"]["requests_in_flight"] == 2


async def test_a_cancelled_call_is_counted_and_is_no_error(
    watched: InMemory, admin: str, good_request: pb.ClassifyRequest
) -> None:
    watched.engine.hold()
    call = watched.served.intents.Classify(good_request)
    await watched.engine.wait_running(1)
    call.cancel()
    await watched.engine.wait_running(0)

    while not (seen := await metrics(admin)).sum("intently_server_calls_total"):  # noqa: ASYNC110  # as above
        await asyncio.sleep(0.01)
    assert seen.sum("intently_server_calls_total", rpc_response_status_code="CANCELLED") == 1
    assert seen.sum("intently_server_utterances_total", intently_reason="CANCELLED") == 1
    assert seen.sum("intently_server_active_calls") == 0
    assert (await statusz(admin))["last_errors"] == []


async def test_metrics_in_openmetrics(admin: str) -> None:
    page = await get(admin, "/metrics", accept="application/openmetrics-text; version=1.0.0")

    assert page.content_type.startswith("application/openmetrics-text")
    assert page.text.endswith("# EOF\n")


async def test_metrics_can_be_closed(start_in_memory: StartInMemory, ready_file: Path) -> None:
    await start_in_memory(ready_file=ready_file, metrics=False)

    assert (await get(admin_address(ready_file), "/metrics")).status == 404
    page = await get(admin_address(ready_file), "/statusz")
    assert page.status == 200
    assert "/metrics" not in page.text


async def test_the_admin_port_can_be_closed(
    start_in_memory: StartInMemory, ready_file: Path, good_request: pb.ClassifyRequest
) -> None:
    server = await start_in_memory(ready_file=ready_file, admin_address="")

    assert admin_address(ready_file) == ""
    assert (await server.served.intents.Classify(good_request)).outcome


async def test_an_admin_port_that_is_taken_is_refused(admin: str, bundle_path: Path) -> None:
    settings = Settings(bundle=bundle_path, address="127.0.0.1:0", admin_address=admin)

    with pytest.raises(AddressError, match=admin):
        await serve(settings, MemoryEngineFactory())


async def test_the_status_tells_what_is_served_and_how(
    watched: InMemory, admin: str, bundle: Bundle, good_request: pb.ClassifyRequest
) -> None:
    await watched.served.intents.Classify(good_request)
    with pytest.raises(grpc.aio.AioRpcError):
        await watched.served.intents.Classify(pb.ClassifyRequest(request_id="x"))

    status = await statusz(admin)
    assert status["server"]["phase"] == "serving"
    assert status["model"]["revision"] == bundle.model.revision
    assert status["model"]["intents"] == list(bundle.model.intents)
    assert status["last_minute"]["answers"] == 1
    assert status["last_minute"]["calls_by_status"] == {"OK": 1, "INVALID_ARGUMENT": 1}
    assert set(status["last_minute"]["latency_ms"]) == {
        "total", "receive", "tokenize", "queue", "inference", "calibrate"
    }  # fmt: skip
    assert status["last_minute"]["latency_ms"]["total"]["p99"] > 0
    [error] = status["last_errors"]
    assert (error["method"], error["status"], error["reason"]) == (CLASSIFY, "INVALID_ARGUMENT", "INVALID_INPUT")
    assert error["fields"] == ["text"]
    assert set(status["settings"]) == set(Settings.model_fields)


async def test_the_page_loads_nothing_and_escapes_what_it_shows(
    start_in_memory: StartInMemory, ready_file: Path
) -> None:
    await start_in_memory(ready_file=ready_file, model_label=["<script>alert(1)</script>"])

    page = await get(admin_address(ready_file), "/statusz")
    assert page.content_type.startswith("text/html")
    assert "<script" not in page.text
    assert 'href="/metrics"' in page.text
    assert "&lt;script&gt;" in page.text
    assert "http://" not in page.text
    assert "https://" not in page.text
