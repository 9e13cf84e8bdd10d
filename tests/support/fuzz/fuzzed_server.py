"""The server under fuzz. One that has died is started again, so that the search for the shortest case can go on."""

import contextlib
import socket
from pathlib import Path
from types import TracebackType

from support.in_memory_server import InMemoryServer, in_memory_server
from support.paths import BUNDLE

_TAKES_WITHIN_S = 20.0


class FuzzedServer:
    """A server. Use it as a context manager.

    Args:
        folder: For logs.
        flags: The server's own.
        bundle: What it serves.

    Attributes:
        deaths: What it died of, each time.
    """

    def __init__(self, folder: Path, *flags: str, bundle: Path = BUNDLE) -> None:
        self._folder = folder
        self._flags = flags
        self._bundle = bundle
        self._stack = contextlib.ExitStack()
        self._server: InMemoryServer | None = None
        self._read = 0  # of the log
        self.deaths: list[str] = []

    def __enter__(self) -> "FuzzedServer":
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def process(self) -> InMemoryServer:
        """As it runs now."""
        assert self._server is not None
        return self._server

    def new_errors(self) -> list[str]:
        """What it has logged as a fault since this was called last."""
        size = self.process.log.stat().st_size
        if size == self._read:
            return []
        errors, self._read = self.process.errors_logged(self._read), size
        return errors

    def died(self) -> str | None:
        """Of what, if it has; then it runs again. A process that takes no connections any more is dead too."""
        code = self.process.process.poll()
        if code is None and self._takes_connections():
            return None
        self.deaths.append("takes no connections" if code is None else f"exit code {code}")
        self.process.process.kill()
        self._stack.close()
        self._start()
        return self.deaths[-1]

    def _takes_connections(self) -> bool:
        try:
            with socket.create_connection(self.process.endpoint, timeout=_TAKES_WITHIN_S):
                return True
        except OSError:
            return False

    def _start(self) -> None:
        self._read, name = 0, f"fuzzed-{len(self.deaths)}"
        again = () if self._server is None else ("--address", self._server.address)
        self._server = self._stack.enter_context(
            in_memory_server(self._folder, *self._flags, *again, name=name, bundle=self._bundle)
        )
