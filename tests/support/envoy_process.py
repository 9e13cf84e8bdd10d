"""Runs the real Envoy on a configuration that was rendered for a test, and always ends it."""

import contextlib
import http.client
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intently_release.colors import Color, Weights, all_to
from intently_release.config import ReleaseConfig
from intently_release.layout import Layout
from intently_release.xds.publish import publish
from intently_release.xds.snapshot import Snapshot, render

COMMAND = Path(sys.executable).with_name("envoy")
_START_WITHIN_S = 30.0


class _PipeConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@dataclass(frozen=True, slots=True)
class EnvoyProcess:
    """An Envoy that is ready, or was.

    Attributes:
        config: What it was rendered from.
        log: What it writes to standard error.
    """

    process: "subprocess.Popen[bytes]"
    config: ReleaseConfig
    layout: Layout
    log: Path

    @property
    def address(self) -> str:
        """HOST:PORT that callers come in by."""
        return self.config.listener.address

    def ask(self, path: str, method: str = "GET", at: Path | None = None) -> tuple[int, str]:
        """Status and body of an answer of one of its unix sockets: of the admin's unless another is given."""
        with contextlib.closing(_PipeConnection(at or self.layout.admin_socket)) as connection:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def stats(self, pattern: str) -> dict[str, int]:
        """Counters and gauges whose names match."""
        _, body = self.ask(f"/stats?format=json&type=Counters&filter={pattern}")
        _, gauges = self.ask(f"/stats?format=json&type=Gauges&filter={pattern}")
        found = [*json.loads(body)["stats"], *json.loads(gauges)["stats"]]
        return {each["name"]: each["value"] for each in found if "name" in each}

    def routes_version(self) -> str:
        """The version_info of the routes that it has applied."""
        _, body = self.ask("/config_dump?resource=dynamic_route_configs")
        configs: list[dict[str, Any]] = json.loads(body).get("configs", [])
        return str(configs[0].get("version_info", "")) if configs else ""

    def wait_applied(self, version: str) -> None:
        """Returns once it has applied routes of this version; a test's own timeout bounds the wait."""
        while self.routes_version() != version:
            time.sleep(0.01)

    def wait_healthy(self, *colors: Color) -> None:
        """Returns once all servers of these colors are healthy; a test's own timeout bounds the wait."""
        for color in colors:
            while not self._all_healthy(color):
                time.sleep(0.02)

    def _all_healthy(self, color: Color) -> bool:
        stats = self.stats(f"^cluster.{color}.membership_(healthy|total)$")
        healthy, total = (stats.get(f"cluster.{color}.membership_{what}", 0) for what in ("healthy", "total"))
        return bool(total) and healthy == total


@contextlib.contextmanager
def run_folder() -> Iterator[Path]:
    """A folder whose name is short enough for the unix sockets in it; removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="ir-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def running_envoy(
    config: ReleaseConfig, folder: Path, weights: Weights | None = None, snapshot: Snapshot | None = None
) -> Iterator[EnvoyProcess]:
    """Publishes a snapshot and runs Envoy on it until the block ends; yields once it is ready.

    Args:
        config: Its listener's address must be free.
        folder: The run directory (see `run_folder`).
        weights: Of the first routes; all to blue unless given.
        snapshot: What is published; rendered from the two unless given.

    Raises:
        RuntimeError: if it ends before, or is not ready within half a minute; the text is its log.
    """
    layout = Layout(folder)
    publish(snapshot or render(config, layout, weights or all_to(Color.BLUE)), layout)
    log = layout.log("envoy")
    log.parent.mkdir(exist_ok=True)
    command = [COMMAND, "-c", layout.bootstrap, "--reject-unknown-dynamic-fields", "--use-dynamic-base-id"]
    command += ["--drain-time-s", "1", "--concurrency", "2", "--log-level", "warning"]
    with log.open("wb") as output:
        process = subprocess.Popen([*map(str, command)], stdout=output, stderr=output)
    try:
        envoy = EnvoyProcess(process, config, layout, log)
        _wait_ready(envoy)
        yield envoy
    finally:
        process.kill()
        process.wait()


def _wait_ready(envoy: EnvoyProcess) -> None:
    give_up = time.monotonic() + _START_WITHIN_S
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if envoy.ask("/ready")[0] == http.HTTPStatus.OK:
                return
        if envoy.process.poll() is not None or time.monotonic() > give_up:
            raise RuntimeError(envoy.log.read_text(errors="replace"))
        time.sleep(0.02)
