"""Watches calls that are mirrored, for as long as it is told, and tells what can be said of them."""

import asyncio
import contextlib

from rich.console import Console

from intently_release.colors import Color
from intently_release.commands.desk import Desk
from intently_release.compare.mirrored import MirroredReport, mirrored_report
from intently_release.compare.watching import look, within
from intently_release.errors import Refused
from intently_release.proxy.admin import EnvoyAdmin
from intently_release.state.state import State


async def watched(desk: Desk, state: State, seconds: float) -> MirroredReport:
    """Reads what was counted, waits, and reads it again. Nothing is changed, and no lock is taken.

    Raises:
        Refused: if the colors do not see the same calls, or a server cannot be asked.
        ReleaseError: if Envoy or a server does not answer.
    """
    canary = state.stable.other
    if state.weights[canary]:
        raise Refused(f"{canary} has {state.weights[canary]} % of new calls: the colors see the same only at 0 %")
    console = Console(stderr=True)
    waiting = console.status(f"watching for {seconds:g} s") if console.is_terminal else contextlib.nullcontext()
    async with EnvoyAdmin(desk.layout.admin_socket) as admin:
        before = await look(desk.config, desk.layout, admin, envoy_last=False)
        with waiting:
            await asyncio.sleep(seconds)
        after = await look(desk.config, desk.layout, admin, envoy_last=True)
    sent, counted = within(before, after, state.stable)
    revisions = {color: state.slots[color].revision for color in Color}
    return mirrored_report(state.stable, sent, counted, revisions, seconds)
