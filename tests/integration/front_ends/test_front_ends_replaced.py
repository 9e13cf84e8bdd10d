"""What keeps another from being started in place of a front end that died: it ends nobody, and is over when it is."""

import resource
import signal
from pathlib import Path

from intently.v1 import intent_service_pb2 as pb
from intently_server.engine.process_guard import GUARD_SCRIPT
from support.bundles import copy_bundle
from support.together import Together, connections, left_of, together

HELLO = pb.ClassifyRequest(text="hello")


async def is_answered(server: Together, place: int) -> bool:
    """Whether the front end at this place answers."""
    async with connections(server.own[place]) as [stub]:
        return bool((await stub.Classify(HELLO)).predictions)


async def test_what_keeps_another_from_being_started_ends_nobody(bundle_path: Path, tmp_path: Path) -> None:
    copy = copy_bundle(bundle_path, tmp_path / "bundle")
    manifest = copy / "bundle.json"
    with together(tmp_path, "--bundle", str(copy), "--successors", "1", "--drain-delay", "0") as server:
        below, dead, first = server.below(), await server.at(0), server.process.pid
        [guard] = [each for each in below if str(GUARD_SCRIPT) in each.cmdline()]
        guard.kill()
        files = resource.prlimit(first, resource.RLIMIT_NOFILE)

        resource.prlimit(first, resource.RLIMIT_NOFILE, (3, files[1]))
        dead.kill()
        await server.said("front end 0 cannot be started: ")
        assert await is_answered(server, 1)

        manifest.rename(tmp_path / "away")
        resource.prlimit(first, resource.RLIMIT_NOFILE, files)
        await server.said("cannot serve bundle")
        assert await is_answered(server, 1)

        (tmp_path / "away").rename(manifest)
        await server.replaced(dead)
        assert await is_answered(server, 0)
        assert "the guard of this server's processes has died; another is started" in server.log.read_text()

        below += server.below()
        server.process.kill()
        assert await server.ended() == -signal.SIGKILL
        assert left_of(below) == []
