"""What keeps another from being started in place of a front end that died: it ends nobody, and is over when it is."""

import asyncio
import contextlib
import dataclasses
import json
import resource
import shutil
import signal
from pathlib import Path

from intently.v1 import intent_service_pb2 as pb
from intently_server.engine.process_guard import GUARD_SCRIPT
from support.bundles import copy_bundle
from support.together import Together, connections, left_of, together
from support.unreadable_path import UNREADABLE, send_path

HELLO = pb.ClassifyRequest(text="hello")


async def is_answered(server: Together, place: int) -> bool:
    """Whether the front end at this place answers."""
    async with connections(server.own[place]) as [stub]:
        return bool((await stub.Classify(HELLO, wait_for_ready=True)).predictions)


async def test_what_keeps_another_from_being_started_ends_nobody(bundle_path: Path, tmp_path: Path) -> None:
    copy = copy_bundle(bundle_path, tmp_path / "bundle")
    manifest = copy / "bundle.json"
    with together(tmp_path, "--bundle", str(copy), "--successors", "1", "--drain-delay", "0") as server:
        below, dead, first = server.below(), await server.at(0), server.process.pid
        [guard] = [each for each in below if str(GUARD_SCRIPT) in each.cmdline()]
        files = resource.prlimit(first, resource.RLIMIT_NOFILE)

        resource.prlimit(first, resource.RLIMIT_NOFILE, (3, files[1]))
        guard.kill()
        dead.kill()
        await server.said("front end 0 cannot be started: ")
        await server.said("no other guard can be started: ")
        assert await is_answered(server, 1)

        manifest.rename(tmp_path / "away")
        resource.prlimit(first, resource.RLIMIT_NOFILE, files)
        await server.said("cannot serve bundle")
        assert await is_answered(server, 1)

        (tmp_path / "away").rename(manifest)
        await server.replaced(dead)
        assert await is_answered(server, 0)
        assert "has died (exit code -9); another is started" in server.log.read_text()

        while not (guards := [each for each in server.below() if str(GUARD_SCRIPT) in each.cmdline()]):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        assert len(guards) == 1

        below += server.below()
        server.process.kill()
        assert await server.ended() == -signal.SIGKILL
        assert left_of(below) == []


async def test_one_that_takes_a_living_engine_for_dead_and_one_that_never_starts_are_replaced(tmp_path: Path) -> None:
    flags = ("--engine-end-ms", "300", "--start-ms", "4000", "--look-ms", "700", "--drain-delay", "0")
    with together(tmp_path, *flags, "--drain-timeout", "600", hold=[2]) as starting:
        while not (tmp_path / "ready.json").exists():  # noqa: ASYNC110  # a file tells nobody
            await asyncio.sleep(0.02)
        server = dataclasses.replace(starting, admin=json.loads((tmp_path / "ready.json").read_text())["admin"])
        both = {place: await server.at(place) for place in (0, 1)}
        [answers] = server.folder.glob("intently-*/0.out")
        _, word = await asyncio.open_unix_connection(answers)

        word.write(b"dead\n")  # as the engine does, though it lives

        await server.said("has not started in ")
        (tmp_path / "2").unlink()
        [place] = [place for place in both if f"front end {place} has died (exit 5)" in server.log.read_text()]
        assert await is_answered(server, 1 - place)
        await server.replaced(both[place])
        assert await is_answered(server, place)
        word.close()

        shutil.rmtree(answers.parent)
        with contextlib.closing(send_path(server.own[place], b"/" + UNREADABLE)):
            await server.said("listening again")
            assert await is_answered(server, place)

        hanging = both[1 - place]
        hanging.send_signal(signal.SIGSTOP)
        server.process.terminate()
        assert await server.ended() == 0
        assert f"front end {1 - place} does not answer; it is killed" in server.log.read_text()
