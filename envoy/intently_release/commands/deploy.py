"""intently-release deploy."""

import argparse
import contextlib
from collections.abc import AsyncIterator
from functools import partial

import grpc
from rich.console import Console
from rich.live import Live

from intently_release.commands.desk import Desk
from intently_release.commands.show import reporter_for
from intently_release.config import Releasing
from intently_release.proxy.admin import EnvoyAdmin
from intently_release.release.deploy import Deploy
from intently_release.release.golden import check_golden
from intently_release.release.judging import StepJudge
from intently_release.release.outcome import Ending
from intently_release.release.packaged import read_packaged
from intently_release.release.readiness import Readiness
from intently_release.release.shifting import Shifting

EXIT_CODES = {Ending.PROMOTED: 0, Ending.ALREADY_LIVE: 0, Ending.ABORTED: 1, Ending.INCONCLUSIVE: 3}

_FAST = {"steps": (50, 100), "dwell": 1.5, "bake": 0.0}


async def deploy(desk: Desk, options: argparse.Namespace) -> int:
    """Takes a bundle live; returns the exit code.

    Raises:
        ReleaseError: if it cannot be done.
    """
    packaged = read_packaged(options.bundle)
    with desk.store.held(f"deploy {options.bundle}"):
        async with _deploy_of(desk, plan_of(desk.config.releasing, options), as_json=options.json) as one:
            result = await one.run(packaged)
    return EXIT_CODES[result.ending]


def plan_of(plan: Releasing, options: argparse.Namespace) -> Releasing:
    """The configured plan, as far as the arguments do not say otherwise."""
    changes = dict(_FAST) if options.fast else {}
    if options.no_traffic:
        changes["no_traffic"] = options.no_traffic
    return plan.model_copy(update=changes)


@contextlib.asynccontextmanager
async def _deploy_of(desk: Desk, plan: Releasing, *, as_json: bool) -> AsyncIterator[Deploy]:
    console = Console(stderr=True)
    async with contextlib.AsyncExitStack() as stack:
        admin = await stack.enter_async_context(EnvoyAdmin(desk.layout.admin_socket))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"unix:{desk.layout.calls_socket}"))
        live = None
        if console.is_terminal and not as_json:
            live = stack.enter_context(Live(console=console, auto_refresh=False, transient=True))
        reporter = reporter_for(console, live, as_json=as_json)
        yield Deploy(
            plan,
            desk.store,
            desk.history,
            Shifting(desk.config, desk.layout, desk.store, admin),
            Readiness(desk.layout, admin, channel, desk.config.servers.start_timeout),
            partial(check_golden, channel, tolerance=plan.golden_tolerance),
            StepJudge(admin, plan, reporter),
            reporter,
            desk.config.traffic.mirror_percent,
        )
