"""What every command works with: the configuration, and the files and sockets of one Envoy."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from intently_release.config import ReleaseConfig, read_config
from intently_release.layout import Layout
from intently_release.state.history import History
from intently_release.state.store import Store


@dataclass(frozen=True, slots=True)
class Desk:
    """What every command works with."""

    config: ReleaseConfig
    layout: Layout
    store: Store
    history: History

    @classmethod
    def of(cls, options: argparse.Namespace) -> "Desk":
        """As the arguments say.

        Raises:
            ConfigProblem: if the configuration cannot be used.
        """
        config = read_config(options.config)
        run_dir: Path = options.run_dir or config.run_dir
        layout = Layout(run_dir.absolute())
        return cls(config, layout, Store(layout), History(layout))
