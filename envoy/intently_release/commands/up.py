"""intently-release up."""

import argparse
import asyncio
import json
import sys

import grpc

from intently_release.colors import Color, all_to
from intently_release.commands.desk import Desk
from intently_release.errors import Refused
from intently_release.proxy.admin import EnvoyAdmin
from intently_release.release.packaged import Packaged, read_packaged
from intently_release.release.readiness import Readiness
from intently_release.state import Slot, State
from intently_release.supervise import on_signals, supervise


async def up(desk: Desk, options: argparse.Namespace) -> int:
    """Runs Envoy and the colors that are wanted until it is told to stop; returns the exit code.

    Raises:
        Refused: if there is nothing to run, or something else than asked for.
        Busy: if it runs already.
    """
    wanted = _wanted(desk, options)
    with on_signals() as (stop, hurry):
        running = asyncio.ensure_future(supervise(desk.config, desk.layout, desk.store, stop, hurry))
        telling = asyncio.ensure_future(_tell_when_ready(desk, wanted, as_json=options.json))
        await asyncio.wait([running, telling], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            telling.cancel()
            return running.result()
        if telling.exception() is not None:  # it does not start: no use in going on
            stop.set()
        code = await running
        telling.result()
        return code


def _wanted(desk: Desk, options: argparse.Namespace) -> State:
    """What shall run; written down if nothing was yet."""
    packaged = None if options.bundle is None else read_packaged(options.bundle)
    with desk.store.held("up"):
        state = desk.store.read()
        if state is not None:
            _must_be_the_same(state, packaged)
            return state
        if packaged is None:
            raise Refused("nothing ran here yet: name a bundle to start with, --bundle DIR")
        slot = Slot(bundle=packaged.path, revision=packaged.revision, wanted="running")
        state = State(stable=Color.BLUE, weights=all_to(Color.BLUE), slots={Color.BLUE: slot})
        desk.store.write(state)
        return state


def _must_be_the_same(state: State, packaged: Packaged | None) -> None:
    live = state.slots[state.stable]
    if packaged is not None and live.revision != packaged.revision:
        raise Refused(
            f"{live.bundle} ({live.revision[:12]}) was live here: start with it, without --bundle, and then "
            f"`intently-release deploy {packaged.path}`"
        )


async def _tell_when_ready(desk: Desk, state: State, *, as_json: bool) -> None:
    """Says so once a call through Envoy was answered."""
    bundle = state.slots[state.stable].bundle
    if bundle is None:
        raise Refused("the state names no bundle for its stable color; remove the run directory to begin anew")
    packaged, address = read_packaged(bundle), desk.config.listener.address
    async with (
        EnvoyAdmin(desk.layout.admin_socket) as admin,
        grpc.aio.insecure_channel(f"unix:{desk.layout.calls_socket}") as channel,
    ):
        readiness = Readiness(desk.layout, admin, channel, desk.config.servers.start_timeout)
        seconds = await readiness.wait(state.stable, packaged)
    if as_json:
        document = {"event": "serving", "address": address, "revision": packaged.revision, "seconds": round(seconds, 2)}
        sys.stdout.write(json.dumps(document) + "\n")
    else:
        sys.stdout.write(
            f"\n{packaged.name} is SERVING on {address}, through Envoy, on {state.stable}. In another shell:\n\n"
            f'    .venv/bin/intently classify "wake me at seven tomorrow" --address {address}\n\n'
            "Ctrl-C ends it.\n"
        )
    sys.stdout.flush()
