"""Volumes as Kubernetes makes them of a ConfigMap, and the real Envoy of envoy/kubernetes on them."""

import contextlib
import http.client
import itertools
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from intently_release.config import ReleaseConfig
from intently_release.layout import Layout
from support.envoy_process import COMMAND, EnvoyProcess

KINDS = ("cds", "lds", "rds")


class Volume:
    """A folder whose files are links through `..data`, which is swapped as a whole by a rename.

    Args:
        folder: Where it is mounted.
        keys: Of the ConfigMap, which are also the names of the files.
    """

    def __init__(self, folder: Path, *keys: str) -> None:
        self.folder = folder
        self._keys = keys
        self._numbers = itertools.count()
        folder.mkdir(parents=True)

    def project(self, config_map: Mapping[str, str]) -> None:
        """What the kubelet does once it has seen a ConfigMap: nothing at all if what is projected is the same."""
        data = self.folder / "..data"
        if data.exists() and all((data / key).read_text() == config_map[key] for key in self._keys):
            return
        old = data.resolve() if data.exists() else None
        new = self.folder / f"..2026_01_01_00_00_00.{next(self._numbers)}"
        new.mkdir()
        for key in self._keys:
            (new / key).write_text(config_map[key])
        link = self.folder / "..data_tmp"
        link.symlink_to(new.name)
        link.replace(data)
        for key in self._keys:
            if not (self.folder / key).is_symlink():
                (self.folder / key).symlink_to(Path("..data") / key)
        if old is not None:
            shutil.rmtree(old)


class Volumes:
    """All volumes of Envoy's pod, below a folder that stands for its root.

    Args:
        layout: Where Envoy looks for its files.
        mounted: The folder of the bootstrap.
    """

    def __init__(self, layout: Layout, mounted: Path) -> None:
        layout.run_dir.mkdir()
        self.bootstrap = mounted / "bootstrap.json"
        self._all = [Volume(mounted, "bootstrap.json")]
        self._all += [Volume(layout.xds(kind).parent, f"{kind}.json") for kind in KINDS]

    def project(self, rendered: Path) -> None:
        """Brings what was rendered into a folder to all of them, as a ConfigMap made of that folder would."""
        config_map = {path.name: path.read_text() for path in rendered.iterdir()}
        for volume in self._all:
            volume.project(config_map)


@contextlib.contextmanager
def envoy_of_a_pod(config: ReleaseConfig, volumes: Volumes, arguments: list[str]) -> Iterator[EnvoyProcess]:
    """Runs Envoy until the block ends; yields once it is ready.

    Args:
        config: What was rendered; its addresses must be free.
        volumes: Where Envoy finds it.
        arguments: The manifest's.

    Raises:
        RuntimeError: if it ends before; the text is its log.
    """
    layout = Layout(config.run_dir)
    log = layout.run_dir / "envoy.log"
    mapped = list(arguments)
    mapped[mapped.index("--config-path") + 1] = str(volumes.bootstrap)
    with log.open("wb") as output:
        process = subprocess.Popen([str(COMMAND), *mapped], stdout=output, stderr=output)
    try:
        envoy = EnvoyProcess(process, config, layout, log)
        _wait_ready(envoy)
        yield envoy
    finally:
        process.kill()
        process.wait()


def _wait_ready(envoy: EnvoyProcess) -> None:
    """A test's own timeout bounds the wait."""
    while envoy.process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if envoy.ask("/ready")[0] == http.HTTPStatus.OK:
                return
        time.sleep(0.02)
    raise RuntimeError(envoy.log.read_text(errors="replace"))
