"""Where the files of one Envoy and its two colors lie, below the run directory."""

from dataclasses import dataclass
from pathlib import Path

from intently_release.colors import Color


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths below the run directory, which is absolute."""

    run_dir: Path

    @property
    def bootstrap(self) -> Path:
        """What Envoy is started with."""
        return self.run_dir / "bootstrap.json"

    def xds(self, kind: str) -> Path:
        """The file of "lds", "cds" or "rds": alone in its folder, since one rename there reads all of it again."""
        return self.run_dir / "xds" / kind / f"{kind}.json"

    @property
    def admin_socket(self) -> Path:
        """Envoy's admin port."""
        return self.run_dir / "admin.sock"

    @property
    def calls_socket(self) -> Path:
        """A listener of the operator's own, with the routes of the public one: for golden requests."""
        return self.run_dir / "calls.sock"

    @property
    def state(self) -> Path:
        """What is wanted."""
        return self.run_dir / "state.json"

    @property
    def lock(self) -> Path:
        """Held by the command that changes it."""
        return self.run_dir / "state.lock"

    @property
    def supervisor_lock(self) -> Path:
        """Held by the supervisor."""
        return self.run_dir / "supervisor.lock"

    @property
    def observed(self) -> Path:
        """What the supervisor runs."""
        return self.run_dir / "observed.json"

    @property
    def config(self) -> Path:
        """The configuration that all this is run by."""
        return self.run_dir / "release.json"

    @property
    def unproven(self) -> Path:
        """There while what is live has never served."""
        return self.run_dir / "unproven"

    @property
    def history(self) -> Path:
        """What was done, a line of JSON each."""
        return self.run_dir / "history.jsonl"

    def log(self, name: str) -> Path:
        """The log of "envoy" or of a server."""
        return self.run_dir / "logs" / f"{name}.log"

    def ready(self, color: Color, index: int) -> Path:
        """Written by a color's server once it is SERVING."""
        return self.run_dir / "ready" / f"{color}-{index}.json"
