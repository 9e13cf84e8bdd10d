"""Front ends that hang, an engine or a first process that is killed, a start that takes long: nobody is left behind."""

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import grpc
import psutil
import trustme
from grpc_health.v1 import health_pb2

from intently.v1 import intent_service_pb2 as pb
from support.certificates import ServerFiles
from support.together import Together, connections, health, left_of, together
from support.wire import reason_of, rich_status

HELLO = pb.ClassifyRequest(text="hello")
READINESS = health_pb2.HealthCheckRequest(service="intently.v1.IntentService")
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
LONG = ("--drain-delay", "600", "--drain-timeout", "600")  # an end by a drain would be no end


def nobody_is_left(server: Together, below: Sequence[psutil.Process]) -> bool:
    """Neither a process, nor the folder of their sockets."""
    return left_of(below) == [] and list(server.folder.glob("intently-*")) == []


async def waits_at(server: Together, seat: Path) -> None:
    """Returns once a front end waits there; a test's own timeout bounds the wait."""
    while not seat.with_suffix(".waits").exists():
        assert server.process.poll() is None, server.log.read_text()
        await asyncio.sleep(0.01)


async def test_none_serves_before_all_can_and_told_twice_they_end_at_once(tmp_path: Path) -> None:
    with together(tmp_path, *LONG, hold=[1]) as server:
        while not server.front_ends():  # noqa: ASYNC110  # no child tells of another
            await asyncio.sleep(0.01)
        os.killpg(server.process.pid, signal.SIGUSR1)  # before they could have ignored it
        await waits_at(server, tmp_path / "1")
        async with health(server.own[0]) as first, health(server.own[1]) as second:
            watches = [first.Watch(READINESS, wait_for_ready=True), second.Watch(READINESS, wait_for_ready=True)]
            assert [(await watch.read()).status for watch in watches] == [NOT_SERVING] * 2
            await asyncio.sleep(0.3)  # time for the first to serve, if it did not wait
            assert (await first.Check(READINESS)).status == NOT_SERVING

            server.front_ends()[0].send_signal(signal.SIGSTOP)
            (tmp_path / "1").unlink()
            serves = asyncio.ensure_future(watches[1].read())
            await asyncio.wait([serves], timeout=3.0)
            assert not (tmp_path / "ready.json").exists()
            server.front_ends()[0].send_signal(signal.SIGCONT)
            assert [(await watches[0].read()).status, (await serves).status] == [SERVING] * 2
            while not (tmp_path / "ready.json").exists():  # noqa: ASYNC110  # a file tells nobody
                await asyncio.sleep(0.01)
            below = server.below()
            async with connections(server.own[0]) as [stub], connections(server.own[1]) as [other]:
                server.core().send_signal(signal.SIGSTOP)  # calls stay in flight
                calls = [asyncio.ensure_future(each.Classify(HELLO)) for each in (stub, other)]
                await asyncio.wait(calls, timeout=0.2)
                server.process.send_signal(signal.SIGTERM)
                assert [(await watch.read()).status for watch in watches] == [NOT_SERVING] * 2
                assert not any(call.done() for call in calls)

                server.process.send_signal(signal.SIGTERM)
                assert await server.ended() == 0
                ended = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(each, grpc.aio.AioRpcError) for each in ended)
        assert nobody_is_left(server, below)
        assert server.log.read_text().count("hurried") == 2


async def test_a_start_that_ends_leaves_nobody_behind(tmp_path: Path) -> None:
    folders = [tmp_path / "died", tmp_path / "stopped"]
    for folder in folders:
        folder.mkdir()
    with together(folders[0], hold=[1]) as died, together(folders[1], hold=[1]) as stopped:
        for server, folder in zip((died, stopped), folders, strict=True):
            await waits_at(server, folder / "1")
        below = [*died.below(), *stopped.below()]

        died.front_ends()[0].kill()
        stopped.process.send_signal(signal.SIGTERM)

        assert [await died.ended(), await stopped.ended()] == [1, 0]
        assert nobody_is_left(died, below)
        assert nobody_is_left(stopped, below)
        assert "front end 0 could not begin: it has died" in died.log.read_text()


async def test_one_that_hangs_is_replaced_until_no_seat_is_left(tmp_path: Path) -> None:
    with together(tmp_path, "--look-ms", "700", "--successors", "1", "--drain-delay", "0") as server:
        below = server.below()
        hanging = await server.at(0)

        hanging.send_signal(signal.SIGSTOP)
        await server.replaced(hanging)

        async with connections(server.own[0]) as [stub]:
            assert (await stub.Classify(HELLO)).predictions
        assert "front end 0 does not answer; it is killed" in server.log.read_text()
        below += server.below()
        (await server.at(1)).kill()
        await server.said("no seat at the engine is left for another front end 1")
        async with connections(server.own[0]) as [stub]:
            assert (await stub.Classify(HELLO)).predictions
        (await server.at(0)).kill()
        assert await server.ended() == 1
        assert nobody_is_left(server, below)
        assert "no front end is left, and no seat" in server.log.read_text()


async def test_the_engines_death_is_told_by_each_and_ends_the_server(tmp_path: Path) -> None:
    with together(tmp_path, *LONG) as server:
        below = server.below()
        async with health(server.own[0]) as first, health(server.own[1]) as second:
            watches = [each.Watch(READINESS) for each in (first, second)]
            assert [(await watch.read()).status for watch in watches] == [SERVING] * 2
            async with connections(server.own[0]) as [stub], connections(server.own[1]) as [other]:
                server.core().send_signal(signal.SIGSTOP)
                calls = [asyncio.ensure_future(each.Classify(HELLO)) for each in (stub, other)]
                await asyncio.wait(calls, timeout=0.2)

                server.core().kill()

                assert [(await watch.read()).status for watch in watches] == [NOT_SERVING] * 2
                answers = await asyncio.gather(*calls, return_exceptions=True)
        assert await server.ended() == 1
        assert nobody_is_left(server, below)
    for answer in answers:
        assert isinstance(answer, grpc.aio.AioRpcError)
        assert answer.code() is grpc.StatusCode.UNAVAILABLE
        assert reason_of(rich_status(answer)) == "ENGINE_DEAD"


async def test_when_the_first_process_is_killed_nobody_is_left(
    tmp_path: Path, authority: trustme.CA, files: ServerFiles
) -> None:
    with together(tmp_path, "--tls-certificate", str(files.certificate), "--tls-key", str(files.key)) as server:
        for address in (server.address, *server.own):
            async with connections(address, authorities=authority.cert_pem.bytes()) as [stub]:
                assert (await stub.Classify(HELLO)).predictions
        below = server.below()
        assert len(list(server.folder.glob("intently-*"))) == 1

        os.kill(server.process.pid, signal.SIGKILL)

        assert await server.ended() == -signal.SIGKILL
        assert left_of(below) == []
        while list(server.folder.glob("intently-*")):  # noqa: ASYNC110  # its last act, after all of them
            await asyncio.sleep(0.02)
