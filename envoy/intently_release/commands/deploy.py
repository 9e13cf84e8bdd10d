"""intently-release deploy."""

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

from rich.console import Console
from rich.live import Live

from intently_release.colors import Color
from intently_release.commands.desk import Desk
from intently_release.commands.show import reporter_for
from intently_release.config import Releasing
from intently_release.errors import ReleaseError
from intently_release.proxy.admin import EnvoyAdmin
from intently_release.release.book import Book
from intently_release.release.calling import operators_channel
from intently_release.release.deploy import Deploy
from intently_release.release.golden import check_golden
from intently_release.release.judging import StepJudge
from intently_release.release.moving import Moving
from intently_release.release.outcome import Ending
from intently_release.release.packaged import read_packaged
from intently_release.release.readiness import Readiness
from intently_release.release.shifting import Shifting
from intently_release.release.told import Telling

EXIT_CODES = {Ending.PROMOTED: 0, Ending.ALREADY_LIVE: 0, Ending.ABORTED: 1, Ending.INCONCLUSIVE: 3}

INTERRUPTED = 130
DEPLOY = "deploy"
"""What the lock says that a release does."""

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_FAST = {"steps": (50, 100), "dwell": 1.5, "bake": 0.0}
_FAST_PATIENCE_S = 10.0  # where fewer than 10 calls a second come, there is nothing to judge by in a hurry


async def deploy(desk: Desk, options: argparse.Namespace) -> int:
    """Takes a bundle live; returns the exit code.

    Raises:
        ReleaseError: if it cannot be done.
    """
    packaged = read_packaged(options.bundle)
    async with _deploy_of(desk, plan_of(desk.config.releasing, options), as_json=options.json) as (one, moving):
        with desk.store.held(f"{DEPLOY} {options.bundle}"):
            release = asyncio.create_task(one.run(packaged))
            with _told_to_stop(release):
                try:
                    result = await release
                except asyncio.CancelledError:
                    sys.stderr.write("intently-release: interrupted; the same command again goes on from here\n")
                    return INTERRUPTED
        if result.left is not None and result.streams:
            await _see_off(desk, moving, result.left, result.streams)
    return EXIT_CODES[result.ending]


async def _see_off(desk: Desk, moving: Moving, left: Color, streams: int) -> None:
    """Waits for the streams of the color that is kept, never with the lock: it may be wanted back meanwhile.

    The release is done, whatever comes of this.
    """
    waiting = asyncio.create_task(moving.wait(left, streams))
    with _told_to_stop(waiting):
        try:
            outcome = await waiting
            if outcome:
                Book(desk.store, desk.history).note_moved(left, outcome)
        except asyncio.CancelledError:
            sys.stderr.write("intently-release: told to stop; the release is done\n")
        except ReleaseError as error:
            sys.stderr.write(f"intently-release: the release is done; of its streams: {error}\n")


@contextlib.contextmanager
def _told_to_stop(task: "asyncio.Task[Any]") -> Iterator[None]:
    """A release that is told to stop is cancelled, once, and puts things in order: a lost terminal leaves no canary."""
    loop = asyncio.get_running_loop()
    for number in _STOPPING:
        loop.add_signal_handler(number, lambda: task.cancelling() or task.cancel())
    try:
        yield
    finally:
        for number in _STOPPING:
            loop.remove_signal_handler(number)


def plan_of(plan: Releasing, options: argparse.Namespace) -> Releasing:
    """The configured plan, as far as the arguments do not say otherwise."""
    changes = {**_FAST, "patience": min(plan.patience, _FAST_PATIENCE_S)} if options.fast else {}
    if options.no_traffic:
        changes["no_traffic"] = options.no_traffic
    return plan.model_copy(update=changes)


@contextlib.asynccontextmanager
async def _deploy_of(desk: Desk, plan: Releasing, *, as_json: bool) -> AsyncIterator[tuple[Deploy, Moving]]:
    console, config = Console(stderr=True), desk.config
    async with contextlib.AsyncExitStack() as stack:
        admin = await stack.enter_async_context(EnvoyAdmin(desk.layout.admin_socket))
        channel = await stack.enter_async_context(operators_channel(desk.config, desk.layout))
        live = None
        if console.is_terminal and not as_json:
            live = stack.enter_context(Live(console=console, auto_refresh=False, transient=True))
        reporter = reporter_for(console, live, as_json=as_json)
        book = Book(desk.store, desk.history)
        one = Deploy(
            plan,
            book,
            Shifting(config, desk.layout, desk.store, admin),
            Readiness(desk.layout, admin, channel, config.servers.start_timeout, config.front_ends_of),
            partial(check_golden, channel, tolerance=plan.golden_tolerance),
            StepJudge(admin, plan, reporter),
            reporter,
            config.traffic.mirror_percent,
        )
        yield one, Moving(book, admin, Telling(config, desk.layout), reporter, plan.stream_patience)
