"""intently-release up."""

import argparse
import asyncio
import logging

from intently_release.colors import Color
from intently_release.commands.desk import Desk
from intently_release.commands.starting import Start, what_to_start
from intently_release.commands.telling import tell_when_serving
from intently_release.config import ReleaseConfig
from intently_release.state import State
from intently_release.supervise import on_signals, supervise, supervising
from intently_release.supervise.adoption import left_running
from intently_release.supervise.configured import forget_config, keep_config
from intently_release.supervise.place import ENVOY
from intently_release.supervise.ports import must_be_free
from intently_release.supervise.program import local_servers

logger = logging.getLogger(__name__)


async def up(desk: Desk, options: argparse.Namespace) -> int:
    """Runs Envoy and the colors that are wanted until it is told to stop; returns the exit code.

    Raises:
        Refused: if there is nothing to run, or another process has a port.
        Busy: if it runs already.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    with supervising(desk.layout):
        if options.config is None and desk.layout.config.exists():
            logger.info("going by %s, as the last one did; name another by --config FILE", desk.layout.config)
        adopted = set(left_running(desk.layout))
        start = what_to_start(desk, options.bundle, adopts=bool(adopted))
        must_be_free(_to_listen_on(desk.config, start.state, adopted))
        keep_config(desk.config, desk.layout)
        try:
            return await _run(desk, start, as_json=options.json)
        finally:
            if not left_running(desk.layout):
                forget_config(desk.layout)


def _to_listen_on(config: ReleaseConfig, state: State, adopted: set[str]) -> dict[str, str]:
    """Addresses of what is started now, by what they are for."""
    addresses = {} if ENVOY in adopted else {"listener.address": config.listener.address}
    if ENVOY not in adopted and config.metrics is not None:
        addresses["metrics"] = config.metrics
    for color in Color:
        if state.slots[color].wanted == "running":
            places = {
                f"{color}-{index}": config.colors.of(color).endpoints[index] for index in local_servers(config, color)
            }
            for name, endpoint in places.items():
                if name not in adopted:
                    own = enumerate(config.own_addresses(color, endpoint))
                    addresses |= {f"server {name}": endpoint}
                    addresses |= {f"server {name}, front end {number}": address for number, address in own}
    return addresses


async def _run(desk: Desk, start: Start, *, as_json: bool) -> int:
    with on_signals() as (stop, hurry):
        running = asyncio.ensure_future(supervise(desk.config, desk.layout, desk.store, stop, hurry))
        telling = asyncio.ensure_future(tell_when_serving(desk, start, as_json=as_json))
        await asyncio.wait([running, telling], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            telling.cancel()
            return running.result()
        problem = telling.exception()
        if (
            problem is not None and start.first and desk.layout.unproven.exists()
        ):  # it does not start: no use in going on
            stop.set()
            await running
            raise problem
        if problem is not None:
            logger.error("nobody will say when all servers serve; what runs goes on", exc_info=problem)
        return await running
