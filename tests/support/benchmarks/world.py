"""What studies measure: bundles, servers, Envoy and peers, made when they are needed and kept for the next study."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from intently_server.bundle import Bundle, load_bundle
from support.benchmarks.asked import Asked, Model
from support.benchmarks.record import Record
from support.engine_settings import as_flags
from support.envoy_in_front import envoy_in_front_of
from support.paths import ROOT
from support.peer_targets import Said, bare_target, serve_target
from support.processes import end
from support.server_process import ServerProcess, running_server
from support.serving import free_ports

Kept = TypeVar("Kept")

_CONNECTION_CALLS = 256  # times Envoy's two threads in `running_envoy`: as many at once as a release's four with 128
_END_S = 15.0
_WARM_UP = "500ms"


class World:
    """All that runs.

    Args:
        asked: What is to be done.
        record: Of the study that is under way; each study sets its own.
    """

    def __init__(self, asked: Asked, record: Record) -> None:
        self.asked = asked
        self.record = record
        self._kept: dict[str, tuple[contextlib.ExitStack, Any]] = {}
        self._bundles: dict[str, Bundle] = {}
        self._noting = threading.Lock()

    def bundle(self, model: Model | None = None) -> Bundle:
        """The bundle of that model, or of the one that is asked for; made if it is not there."""
        model = model or self.asked.model
        path = self.asked.work / model.name
        if model.name not in self._bundles:
            if not path.exists():
                began = time.monotonic()
                _synth(model, path, self.asked.work / f"{model.name}.log")
                self._timed(f"synth {model.name}", began)
            began = time.monotonic()
            self._bundles[model.name] = load_bundle(path)
            self._timed(f"verify {model.name}", began)
        return self._bundles[model.name]

    def drop(self, model: Model) -> None:
        """Deletes a bundle that no study needs again: a disk holds few."""
        self._bundles.pop(model.name, None)
        shutil.rmtree(self.asked.work / model.name, ignore_errors=True)

    def server(self, model: Model | None = None, settings: Mapping[str, str] | None = None) -> str:
        """HOST:PORT of our server. Each model, and each change of the settings, has its own."""
        return self.server_process(model, settings).address

    def server_process(self, model: Model | None = None, settings: Mapping[str, str] | None = None) -> ServerProcess:
        """The same server, to look into."""
        bundle, more = self.bundle(model), dict(settings or {})
        name = f"server {bundle.path.name} {' '.join(f'{key}={value}' for key, value in more.items())}".strip()
        wanted = {**self.asked.settings, **more}
        if (front_ends := int(wanted.get("front_ends", 1))) > 1:
            wanted["front_end_port"] = str(free_ports(front_ends))
        flags = as_flags(wanted)
        return self._keep(name, lambda: running_server(bundle.path, self._folder(name), *flags))

    def envoy(self, *servers: str) -> str:
        """HOST:PORT of an Envoy in front of these servers, or of the one that is asked for and its front ends."""
        own = self.server_process()
        before = servers or own.front_ends or (own.address,)
        at_once = _CONNECTION_CALLS // max(1, len(own.front_ends))
        made = self._keep(
            f"envoy {' '.join(before)}", lambda: envoy_in_front_of(*before, max_concurrent_streams=at_once)
        )
        return made.address

    def serve(self, **more: object) -> str:
        """The URL of `vllm serve` on the same bundle."""
        name = f"serve {' '.join(f'{key}={value}' for key, value in more.items())}".strip()
        bundle, folder = self.bundle(), self._folder(name)
        return self._keep(name, lambda: serve_target(bundle, self.asked.settings, folder, **more)).url

    def together(self, *starts: Callable[[], str]) -> list[str]:
        """What these give, each of which takes its time to start: all at once. Not Envoy: it ends with its thread."""
        with ThreadPoolExecutor(len(starts)) as threads:
            return [*threads.map(lambda start: start(), starts)]

    def bare(self) -> str:
        """The bare engine as a target, which lives as long as a run of `intently bench`."""
        return bare_target(self.bundle().path, self.asked.settings)

    def said(self, tokens: tuple[int, int] | None = None, model: Model | None = None) -> Said:
        """Utterances of so many tokens, or of as many as asked for."""
        bundle = self.bundle(model)
        name = f"said {bundle.path.name} {tokens or self.asked.tokens}"
        folder = self._folder(bundle.path.name)
        return self._keep(name, lambda: contextlib.nullcontext(Said(bundle, folder, tokens or self.asked.tokens)))

    def bench(self, name: str, roles: Mapping[str, str], *flags: str, said: Said | None = None) -> dict[str, Any]:
        """Runs `intently bench` on one target, or on two in turn, and records it under that name.

        Args:
            roles: Addresses by what they are: "envoy", "server", "serve", "bare".
            flags: Beside those that are always the same.

        Raises:
            RuntimeError: if it measured nothing; the text is what it said.
        """
        addresses = [*roles.values()]
        speech = (said or self.said()).flags(next((each for each in addresses if each.startswith("http:")), ""))
        file, log = self.asked.work / "report.json", self.asked.work / "bench.log"
        file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "intently.bench", "--address", addresses[0]]
        command += [part for each in addresses[1:] for part in ("--against", each)]
        # Of a port that front ends share each gets connections, not calls.
        command += ["--connections", "4"] if int(self.asked.settings.get("front_ends", 1)) > 1 else []
        command += ["--wait", "5m", "--warm-up", _WARM_UP, "--allow-limited", "--progress", "off", *flags, *speech]
        with log.open("wb") as output:
            process = subprocess.Popen([*command, "--json", str(file)], stdout=output, stderr=output, cwd=ROOT)
            try:
                process.wait()
            except TimeoutError:
                end(process, _END_S)  # it reports what it has measured until then
                if file.exists() and file.stat().st_size:
                    self._take(name, roles, command, json.loads(file.read_text(encoding="utf-8")))
                raise
            finally:
                end(process, _END_S)
        if not file.exists() or not file.stat().st_size:
            raise RuntimeError(log.read_text(errors="replace")[-2000:])
        report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if "withheld" not in report or report["exit_code"] == 2:
            raise RuntimeError(log.read_text(errors="replace")[-2000:])
        self._take(name, roles, command, report)
        return report

    def end(self, *kinds: str) -> None:
        """Ends what begins with one of these words, or all."""
        for name in [*reversed(self._kept)]:
            if not kinds or name.startswith(kinds):
                self._kept.pop(name)[0].close()

    def _take(self, name: str, roles: Mapping[str, str], command: list[str], report: dict[str, Any]) -> None:
        self.record.run(name, roles, ["intently", "bench", *command[3:]], report)

    def _keep(self, name: str, make: Callable[[], contextlib.AbstractContextManager[Kept]]) -> Kept:
        if name not in self._kept:
            began, stack = time.monotonic(), contextlib.ExitStack()
            made = stack.enter_context(make())
            self._kept[name] = stack, made
            self._timed(f"start {name}", began)
        found: Kept = self._kept[name][1]
        return found

    def _timed(self, what: str, began: float) -> None:
        """Notes how long something took that is made once."""
        with self._noting:
            self.record.note(**{what: round(time.monotonic() - began, 2)})

    def _folder(self, name: str) -> Path:
        folder = self.asked.work / "".join(each if each.isalnum() else "-" for each in f"of {name}")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def other(self, **changes: Any) -> Model:
        """The model that is asked for, but for that."""
        return replace(self.asked.model, **changes)


@contextlib.contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Sets variables for the processes that are started in the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


def _synth(model: Model, path: Path, log: Path) -> None:
    """Makes a bundle in a process of its own, which gives the GPU's memory back."""
    command = [sys.executable, "-m", "intently_build.cli", "synth", "--output", str(path), "--replace"]
    command += ["--shape", model.shape, "--quant", model.form, "--labels", str(model.labels)]
    command += ["--prefix-tokens", str(model.prefix_tokens), "--max-tokens", str(model.max_tokens)]
    with log.open("wb") as output:
        if subprocess.run(command, stdout=output, stderr=output, check=False).returncode:
            raise RuntimeError(log.read_text(errors="replace")[-2000:])
