"""The supervisor: follows the state file, and keeps every place of this host as it is wanted."""

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace

from intently_release.colors import Color
from intently_release.config import ReleaseConfig
from intently_release.errors import Refused, StateProblem
from intently_release.layout import Layout
from intently_release.state import Observed, Seen, State, Store, locked, read_observed, write_observed
from intently_release.supervise.adoption import left_running, program_of
from intently_release.supervise.backoff import Backoff
from intently_release.supervise.child import Child
from intently_release.supervise.keeper import Keeper
from intently_release.supervise.place import ENVOY, envoy_place, ready_folder, server_place
from intently_release.supervise.program import Program, envoy_program, local_servers, server_program
from intently_release.supervise.publishing import publish_state
from intently_release.xds.validate import find_envoy

logger = logging.getLogger(__name__)

_POLL_S = 0.1


def supervising(layout: Layout) -> contextlib.AbstractContextManager[None]:
    """The run directory, for as long as the block runs: nobody else may start or end anything in it.

    Raises:
        Busy: if another supervisor has it; the text says which.
        StateProblem: if the lock's file cannot be opened.
    """
    return locked(layout.supervisor_lock, "intently-release up")


async def supervise(
    config: ReleaseConfig, layout: Layout, store: Store, stop: asyncio.Event, hurry: asyncio.Event | None = None
) -> int:
    """Runs Envoy and the servers of this host until it is told to stop. Returns the exit code.

    The caller has the run directory (see `supervising`). If it fails or is killed, all that it runs lives on; the next
    one adopts it. Envoy's files are published once, at the start: later changes of the routes are those of commands.

    Args:
        config: How.
        layout: Where; its paths are absolute.
        store: What is wanted; followed.
        stop: Ends the servers in order, all at once, and then Envoy.
        hurry: Makes those that are ending hurry.

    Raises:
        Refused: if nothing is wanted yet.
        StateProblem: if the state cannot be read.
        RenderProblem, ProxyProblem: if Envoy would not take its files, or there is none.
    """
    supervisor = Supervisor(config, layout, store)
    supervisor.begin()
    await supervisor.follow(stop)
    await supervisor.end(hurry or asyncio.Event())
    return 0


class Supervisor:
    """Keeps all places.

    Args:
        config: How.
        layout: Where.
        store: What is wanted.
    """

    def __init__(self, config: ReleaseConfig, layout: Layout, store: Store) -> None:
        self._config = config
        self._layout = layout
        self._store = store
        self._envoy = envoy_program(config, layout, find_envoy())
        self._local = {f"{color}-{index}": (color, index) for color in Color for index in local_servers(config, color)}
        self._keepers = {name: self._keeper(name) for name in (ENVOY, *self._local)}
        self._wanted: Mapping[str, Program] = {}
        self._told: Observed | None = None
        self._problem = ""

    def begin(self) -> None:
        """Publishes Envoy's files, and adopts what an earlier supervisor has left running."""
        state = self._publish()
        self._wanted = self._programs(state)
        known = self._known()
        for name, process in left_running(self._layout).items():
            # A place that the configuration does not have any more gets a keeper that ends what runs there.
            keeper = self._keepers.setdefault(name, self._keeper(name))
            seen = known.get(name, Seen())
            if seen.pid != process.pid:  # it was started just before the kill
                seen = Seen()
            keeper.adopt(Child(process), replace(program_of(process), revision=seen.revision), seen)

    async def follow(self, stop: asyncio.Event) -> None:
        """Keeps places as the state wants them, until it is told to stop."""
        while not stop.is_set():
            self._read()
            await self._step(self._wanted)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _POLL_S)

    async def end(self, hurry: asyncio.Event) -> None:
        """Ends the servers, and then Envoy; returns once nothing runs any more."""
        logger.info("stopping: the servers drain, then Envoy ends")
        await self._empty(self._keepers.keys() - {ENVOY}, {ENVOY: self._envoy}, hurry)
        await self._empty({ENVOY}, {}, hurry)
        logger.info("stopped: nothing runs any more")

    async def _empty(self, names: Iterable[str], rest: Mapping[str, Program], hurry: asyncio.Event) -> None:
        keepers, hurried = [self._keepers[name] for name in names], False
        while not all(keeper.is_empty for keeper in keepers):
            await self._step(rest)
            if hurry.is_set() and not hurried:
                hurried = True
                for keeper in keepers:
                    keeper.hurry()
            await asyncio.sleep(_POLL_S)
        await self._step(rest)

    async def _step(self, wanted: Mapping[str, Program]) -> None:
        for name, keeper in self._keepers.items():
            await keeper.keep(wanted.get(name))
        observed = {name: keeper.seen() for name, keeper in self._keepers.items()}
        if observed != self._told:
            try:
                write_observed(self._layout, observed)
                self._told = observed
            except StateProblem as problem:
                self._complain(problem)

    def _publish(self) -> State:
        """Publishes what belongs to the state. A command may change both just then: the last state wins."""
        published: State | None = None
        while True:
            state = self._store.read()
            if state is None:
                raise Refused(f"nothing is wanted in {self._layout.run_dir} yet: intently-release up --bundle DIR")
            if state == published:
                return state
            publish_state(self._config, self._layout, state)
            published = state

    def _read(self) -> None:
        """Takes up what is wanted now. While that cannot be read, what was wanted last stays."""
        try:
            state = self._store.read()
        except StateProblem as problem:
            self._complain(problem)
            return
        self._problem = ""
        if state is not None:
            self._wanted = self._programs(state)

    def _programs(self, state: State) -> dict[str, Program]:
        programs = {ENVOY: self._envoy}
        for name, (color, index) in self._local.items():
            slot = state.slots[color]
            if slot.wanted == "running":
                programs[name] = server_program(self._config, self._layout, color, index, slot)
        return programs

    def _keeper(self, name: str) -> Keeper:
        servers = self._config.servers
        backoff = Backoff(servers.backoff_first, servers.backoff_most)
        if name == ENVOY:
            return Keeper(envoy_place(self._layout), backoff)
        return Keeper(server_place(self._config, self._layout, ready_folder(self._layout) / f"{name}.json"), backoff)

    def _known(self) -> Observed:
        try:
            return read_observed(self._layout)
        except StateProblem as problem:
            self._complain(problem)
            return {}

    def _complain(self, problem: StateProblem) -> None:
        """Says it once, however often it is seen in a row."""
        if str(problem) != self._problem:
            logger.error("%s", problem)
            self._problem = str(problem)
