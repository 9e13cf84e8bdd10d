"""Restarts servers under load, one after the other, each on its own port."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.in_memory_server import InMemoryServer, in_memory_server
from support.paced_engine import Pace
from support.release_load import Rates, ReleaseLoad
from support.restart_load import RestartLoad
from support.switch import Switch

_PACE = Pace(step_s=0.02, batch=32)  # slow enough that items are in flight whenever a server is stopped


@dataclass(slots=True)
class Restarts:
    """What came of them.

    Attributes:
        exit_codes: Of each server that was stopped.
        answered: Good answers, by kind.
        failures: Calls that failed, items that were lost or answered twice.
        errors_logged: By the servers.
        bench: What people read of each run of `intently bench`.
    """

    exit_codes: list[int] = field(default_factory=list)
    answered: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    errors_logged: list[str] = field(default_factory=list)
    bench: dict[str, Any] = field(default_factory=dict)


async def restart_under_load(folder: Path, times: int, *flags: str, rates: Rates | None = None) -> Restarts:
    """Stops and starts two servers in turn, `times` in all, while calls and streams go on.

    A few callers of this process see that each answer is the right one, and that ordered ones are in order.

    Args:
        folder: For the servers' logs.
        times: How often a server is stopped.
        flags: Of the servers, such as --drain-delay.
        rates: What `intently bench` sends meanwhile; None for nothing.
    """
    restarts = Restarts()
    with ExitStack() as stack:
        servers = [_start(stack, folder, f"{number} 0", "127.0.0.1:0", flags) for number in range(2)]
        async with _loaded([server.address for server in servers], rates) as (switch, load, bench):
            for turn in range(times):
                number = turn % 2
                stopped = servers[number]
                await load.wait_more_than(load.answered.copy())
                restarts.exit_codes.append(await asyncio.to_thread(stopped.terminate))
                restarts.errors_logged += stopped.errors_logged()
                servers[number] = await asyncio.to_thread(
                    _start, stack, folder, f"{number} {turn + 1}", stopped.address, flags
                )
                await switch.backends[number].healthy.wait()
            await load.wait_more_than(load.answered.copy())
        for server in servers:
            restarts.errors_logged += server.errors_logged()
    restarts.answered, restarts.failures = load.answered + bench.answered, load.failures + bench.failures
    restarts.bench = bench.brief()
    return restarts


@asynccontextmanager
async def _loaded(
    addresses: Sequence[str], rates: Rates | None
) -> AsyncIterator[tuple[Switch, RestartLoad, ReleaseLoad]]:
    async with Switch(addresses) as switch:
        for backend in switch.backends:
            await backend.healthy.wait()
        load, bench = RestartLoad(switch.address), ReleaseLoad(switch.address, rates or Rates())
        few = load.running(callers=1, bare=1, streams=2, batches=0)
        async with load.running() if rates is None else few, bench.running():
            yield switch, load, bench


def _start(stack: ExitStack, folder: Path, name: str, address: str, flags: Sequence[str]) -> InMemoryServer:
    return stack.enter_context(in_memory_server(folder, "--address", address, *flags, pace=_PACE, name=name))
