"""A supervisor in a process of its own, with real Envoy and servers whose engine is in memory.

python -m support.supervised RELEASE_YAML
"""

import asyncio
import contextlib
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import psutil
import yaml

from intently.v1.intent_service_pb2 import ClassifyRequest
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently_release.colors import Color, all_to
from intently_release.config import ReleaseConfig, read_config
from intently_release.errors import ReleaseError, StateProblem
from intently_release.layout import Layout
from intently_release.state import Observed, Seen, Slot, State, Store, read_observed, supervisor_of
from intently_release.supervise import on_signals, supervise, supervising
from support.paths import BUNDLE, ROOT
from support.serving import free_addresses

_WITHIN_S = 45.0
_POLL_S = 0.02
_REFUSED = 3


@dataclass(frozen=True, slots=True)
class Host:
    """One run directory, and the supervisors that this test starts for it."""

    config: ReleaseConfig
    layout: Layout
    config_file: Path
    supervisors: "list[subprocess.Popen[bytes]]"

    @property
    def said(self) -> Path:
        """What the supervisors log."""
        return self.config_file.with_name("supervisors.log")

    @property
    def store(self) -> Store:
        """What is wanted."""
        return Store(self.layout)

    def want(self, **slots: Slot) -> None:
        """Wants this of the colors that are named, and leaves the others as they are."""
        state = self.store.read() or State(stable=Color.BLUE, weights=all_to(Color.BLUE))
        for name, slot in slots.items():
            state = state.with_slot(Color(name), slot)
        with self.store.held("test"):
            self.store.write(state)

    def start(self) -> "subprocess.Popen[bytes]":
        """Starts a supervisor. All that it starts writes to logs of the run directory."""
        path = os.pathsep.join(filter(None, (str(ROOT / "tests"), os.environ.get("PYTHONPATH"))))
        with self.said.open("ab") as output:
            command = [sys.executable, "-m", "support.supervised", str(self.config_file)]
            process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, stderr=output)
        self.supervisors.append(process)
        return process

    def observed(self, name: str) -> Seen:
        """What the supervisor tells of a process; nothing while the test has left what cannot be read."""
        with contextlib.suppress(StateProblem):
            return read_observed(self.layout).get(name, Seen())
        return Seen()

    def wait(self, *names: str, until: Callable[[Seen], bool] = lambda seen: seen.ready) -> Observed:
        """Waits until that is so of all that are named; returns how they are then.

        Raises:
            RuntimeError: if it does not come to that; the text is what is observed, and the logs.
        """
        self._wait(lambda: all(until(self.observed(name)) for name in names))
        return {name: self.observed(name) for name in names}

    def wait_said(self, text: str, times: int = 1) -> None:
        """Waits until the supervisors have logged that so often.

        Raises:
            RuntimeError: as `wait`.
        """
        self._wait(lambda: self.said.read_text().count(text) >= times)

    def wait_held(self, supervisor: "subprocess.Popen[bytes]") -> None:
        """Waits until this supervisor has the run directory. What is observed before may be of the last one.

        Raises:
            RuntimeError: as `wait`.
        """
        self._wait(lambda: (holder := supervisor_of(self.layout)) is not None and holder.pid == supervisor.pid)

    def _wait(self, until: Callable[[], bool]) -> None:
        give_up = time.monotonic() + _WITHIN_S
        while not until():
            if time.monotonic() > give_up:
                logs = (self.said, *self.layout.log("envoy").parent.glob("*.log"))
                texts = [path.read_text(errors="replace")[-2000:] for path in logs]
                raise RuntimeError("\n".join([self.layout.observed.read_text(), *texts]))
            time.sleep(_POLL_S)

    def answers(self, address: str) -> bool:
        """Whether a call there is answered, now or as soon as Envoy has seen that somebody can."""
        request, give_up = ClassifyRequest(text="wake me at seven tomorrow"), time.monotonic() + _WITHIN_S
        with grpc.insecure_channel(address) as channel:
            while True:
                try:
                    return bool(IntentServiceStub(channel).Classify(request, timeout=20).predictions)
                except grpc.RpcError:
                    if time.monotonic() > give_up:
                        return False
                    time.sleep(_POLL_S)

    def processes(self) -> list[psutil.Process]:
        """All that live and have this run directory on their command line, supervisors left out."""
        found = []
        for process in psutil.process_iter(["cmdline", "status"]):
            mine = any(str(self.layout.run_dir) + os.sep in each for each in process.info["cmdline"] or ())
            if mine and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process)
        return found


@contextlib.contextmanager
def host(folder: Path, *, command: tuple[str, ...] | None = None, **servers: object) -> Iterator[Host]:
    """A host on which nothing runs yet. Ends what is left on it after the block.

    Args:
        folder: Short: a socket's path has 107 bytes at most.
        command: Of a server; one with the engine in memory unless given.
        servers: Settings of `servers`.
    """
    run_dir, config_file = folder / "run", folder / "release.yaml"
    in_memory = (sys.executable, "-m", "support.in_memory_process", "--probe", os.devnull, "--step-ms", "2")
    address, *endpoints = free_addresses(1 + len(Color))
    document = {
        "run_dir": str(run_dir),
        "metrics": None,
        "listener": {"address": address},
        "colors": {color.value: {"endpoints": [each]} for color, each in zip(Color, endpoints, strict=True)},
        "servers": {"command": [*(command or in_memory)], "drain_delay": 0.1, "backoff_first": 0.1, **servers},
        "traffic": {"health": {"interval": 0.05}},
    }
    config_file.write_text(yaml.safe_dump(document))
    made = Host(read_config(config_file), Layout(run_dir), config_file, [])
    try:
        yield made
    finally:
        for process in made.supervisors:
            process.kill()
            process.wait()
        for left in made.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                left.kill()


def running(bundle: Path = BUNDLE, revision: str = "") -> Slot:
    """A slot that runs this bundle."""
    return Slot(bundle=bundle, revision=revision, wanted="running")


def main() -> int:
    """Supervises; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    config = read_config(Path(sys.argv[1]))
    try:
        return asyncio.run(_supervise(config, Layout(config.run_dir)))
    except ReleaseError as error:
        sys.stderr.write(json.dumps({type(error).__name__: str(error)}))
        return _REFUSED


async def _supervise(config: ReleaseConfig, layout: Layout) -> int:
    with supervising(layout), on_signals() as (stop, hurry):
        return await supervise(config, layout, Store(layout), stop, hurry)


if __name__ == "__main__":
    sys.exit(main())
