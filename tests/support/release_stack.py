"""A whole stack as operators run it: Envoy and both colors under `intently-release up`, and the other commands."""

import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from support.bundles import Manifest, copy_bundle, edit_manifest
from support.paths import BUNDLE, ROOT
from support.server_process import SMALL_ENGINE
from support.serving import free_addresses

COMMAND = (sys.executable, "-m", "intently_release.commands.main")
_UP_WITHIN_S = 240.0  # vLLM's start, on a busy machine
_COMMAND_WITHIN_S = 300.0
_ALL = 100
_MOVE = "streams move"
_PHASES = {
    "started": "start",
    "ready": "golden",
    "golden": "until the first share",
    "promoted": _MOVE,
    "moving": _MOVE,
}
_QUIET_LOOKS = 3  # that find no process, before there is none: one that is just starting has no command line
# Two engines whose threads wait for each other on the same cores, spinning, would come to a standstill.
_ONE_THREAD = {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}
_QUICK = {
    "dwell": 1.0,
    "patience": 10.0,
    "poll": 0.2,
    "bake": 1.0,
    "steps": [25, 100],
    "thresholds": {"p99_least_ms": 400},  # the cores are shared with all else that a test does
}


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended. Its events are what it wrote as JSON."""

    code: int
    events: list[dict[str, Any]]
    errors: str

    def event(self, kind: str) -> dict[str, Any]:
        """The one event of this kind."""
        [found] = [event for event in self.events if event.get("event") == kind]
        return found

    @property
    def end(self) -> dict[str, Any]:
        """The event that says how a release came out; empty if none does. Others about open streams may follow it."""
        return next((event for event in reversed(self.events) if event["event"] not in {"moving", "moved"}), {})

    def phases(self) -> dict[str, float]:
        """Seconds of each part of a release, by its name: from the event that begins it until the next part begins."""
        seconds: dict[str, float] = defaultdict(float)
        told = [event for event in self.events if event["event"] != "look"]
        for event, after in itertools.pairwise(told):
            seconds[_phase(event)] += after["at_s"] - event["at_s"]
        return {name: round(lasted, 2) for name, lasted in seconds.items()}


def _phase(event: Mapping[str, Any]) -> str:
    """What begins with this event of a release; an event that is not known names it itself."""
    if event["event"] == "shifted":
        return f"{event['percent']} %" + (" and bake" if event["percent"] == _ALL else "")
    return _PHASES.get(event["event"], str(event["event"]))


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack that is up, or was.

    Attributes:
        folder: Holds its configuration, run directory and bundles; its name is short enough for unix sockets.
        address: Envoy's.
        config: release.yaml.
        environment: Of all of its processes.
    """

    folder: Path
    address: str
    config: Path
    environment: Mapping[str, str]

    @property
    def run_dir(self) -> Path:
        """Of Envoy."""
        return self.folder / "run"

    def bundle(self, name: str) -> Path:
        """A bundle of another revision, in a folder of this name: the margin of ambiguous answers differs."""
        target = self.folder / name
        if not target.exists():
            number = len(list(self.folder.glob("*/bundle.json")))

            def edit(manifest: Manifest) -> None:
                manifest.calibration.ambiguity_margin += 1e-6 * (number + 1)

            edit_manifest(copy_bundle(BUNDLE, target), edit)
        return target

    def another(self) -> Path:
        """A bundle of a revision that was never here."""
        return self.bundle(f"another-{len(list(self.folder.glob('another-*')))}")

    @property
    def state(self) -> dict[str, Any]:
        """What is wanted: see intently_release.state."""
        document: dict[str, Any] = json.loads((self.run_dir / "state.json").read_text())
        return document

    def settle(self) -> None:
        """Ends what release is under way, and gives the stable color everything."""
        state = self.state
        if state["release"] is None and state["weights"][state["stable"]] == _ALL:
            return
        done = self.run("abort") if state["release"] is not None else self.run("shift", "0")
        if done.code:
            raise RuntimeError(done.errors)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Starts a command."""
        command = [*COMMAND, *arguments, "--config", str(self.config), "--json"]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=dict(self.environment))

    def run(self, *arguments: str) -> Done:
        """Runs a command to its end."""
        return finished(self.start(*arguments))

    def document(self) -> dict[str, Any]:
        """What release.yaml says."""
        document: dict[str, Any] = yaml.safe_load(self.config.read_text())
        return document

    def write(self, document: Mapping[str, Any]) -> None:
        """Replaces release.yaml."""
        self.config.write_text(yaml.safe_dump(dict(document)))

    @contextlib.contextmanager
    def releasing(self, **settings: Any) -> Iterator[None]:
        """Releases go by these settings of `releasing`, and else by those they had, until the block ends."""
        document = self.document()
        self.write({**document, "releasing": {**document["releasing"], **settings}})
        try:
            yield
        finally:
            self.write(document)

    def observed(self) -> dict[str, Any]:
        """What the supervisor runs."""
        document: dict[str, Any] = json.loads((self.run_dir / "observed.json").read_text())
        return document

    def processes(self) -> list[psutil.Process]:
        """All that live and have a file of this folder on their command line."""
        return [
            process
            for process in psutil.process_iter(["cmdline"])
            if any(str(self.folder) + os.sep in each for each in process.info["cmdline"] or ())
        ]

    def logs(self) -> str:
        """The ends of all logs, for a test that failed."""
        return "\n".join(
            f"== {path.name}\n{path.read_text(errors='replace')[-3000:]}"
            for path in sorted((self.run_dir / "logs").glob("*"))
        )


def finished(process: "subprocess.Popen[str]") -> Done:
    """Waits for the end of a command."""
    output, errors = process.communicate(timeout=_COMMAND_WITHIN_S)
    events = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return Done(process.returncode, events, errors)


def wait_for(process: "subprocess.Popen[str]", kind: str) -> None:
    """Returns once a command has told of such an event; what it told before is then taken."""
    assert process.stdout is not None
    while True:
        line = process.stdout.readline()
        assert line, f"it ended before: {process.communicate()[1]}"
        if json.loads(line)["event"] == kind:
            return


@contextlib.contextmanager
def stack(*server_flags: str, real_engine: bool = False, **changes: Mapping[str, Any]) -> Iterator[Stack]:
    """Runs a stack until the block ends; yields once a call through Envoy was answered.

    Args:
        server_flags: Of support.in_memory_process, beside the server's own.
        real_engine: Serves with vLLM, and leaves those flags out.
        changes: Parts of release.yaml, such as releasing={"dwell": 3}.
    """
    with prepared(*server_flags, real_engine=real_engine, **changes) as made:
        process = made.start("up", "--bundle", str(made.bundle("first")))
        try:
            wait_serving(process, made)
            yield made
        finally:
            process.kill()  # ended in order, its servers would drain for seconds
            process.communicate()


@contextlib.contextmanager
def prepared(*server_flags: str, real_engine: bool = False, **changes: Mapping[str, Any]) -> Iterator[Stack]:
    """A stack that is not up. Kills what runs of it when the block ends.

    Args:
        server_flags, real_engine, changes: As of `stack`.
    """
    with tempfile.TemporaryDirectory(prefix="ir-", dir="/tmp") as name:
        made = _made(Path(name), () if real_engine else server_flags, changes, real_engine)
        try:
            yield made
        finally:
            quiet = 0
            while quiet < _QUIET_LOOKS:
                left = made.processes()
                for process in left:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.kill()
                quiet = 0 if left else quiet + 1
                time.sleep(0.01)


def _made(
    folder: Path, server_flags: tuple[str, ...], changes: Mapping[str, Mapping[str, Any]], real_engine: bool
) -> Stack:
    address, metrics, *endpoints = free_addresses(4)
    command = [sys.executable, "-m", "support.in_memory_process", *server_flags]
    if real_engine:
        command = ["intently-server", *SMALL_ENGINE]
    document: dict[str, Any] = {
        "run_dir": str(folder / "run"),
        "metrics": metrics,
        "listener": {"address": address},
        "colors": {color: {"endpoints": [each]} for color, each in zip(("blue", "green"), endpoints, strict=True)},
        "servers": {"command": command, "flags": ["--admin-address", ""], "drain_delay": 1.2, "drain_timeout": 20.0},
        "releasing": dict(_QUICK),
    }
    for part, values in changes.items():
        document[part] = {**document.get(part, {}), **values}
    config = folder / "release.yaml"
    config.write_text(yaml.safe_dump(document))
    path = os.pathsep.join(filter(None, (str(ROOT / "tests"), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path, "MALLOC_ARENA_MAX": "1", **(_ONE_THREAD if real_engine else {})}
    return Stack(folder, address, config, environment)


def wait_serving(process: "subprocess.Popen[str]", made: Stack) -> dict[str, Any]:
    """Waits until `up` says that calls are answered; returns what it says.

    Raises:
        RuntimeError: if it ends before, or says nothing for minutes; the text is what it and all others logged.
    """
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    give_up = time.monotonic() + _UP_WITHIN_S
    while time.monotonic() < give_up:
        line = process.stdout.readline()
        if line:
            document: dict[str, Any] = json.loads(line)
            return document
        if process.poll() is not None:
            raise RuntimeError(f"{process.communicate()[1]}\n{made.logs()}")
        time.sleep(0.02)
    raise RuntimeError(f"not up within {_UP_WITHIN_S:g} s\n{made.logs()}")
