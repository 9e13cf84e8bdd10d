"""What every command works with: the configuration, and the files and sockets of one Envoy."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from intently_release.config import ReleaseConfig, read_config
from intently_release.errors import Refused
from intently_release.layout import Layout
from intently_release.state.history import History
from intently_release.state.store import Store
from intently_release.supervise.configured import differing, kept_config, resolved

_NEED_NONE = frozenset({"status", "history"})


@dataclass(frozen=True, slots=True)
class Desk:
    """What every command works with."""

    config: ReleaseConfig
    layout: Layout
    store: Store
    history: History

    @classmethod
    def of(cls, options: argparse.Namespace) -> "Desk":
        """As the arguments say; without --config, as what runs here was configured.

        Raises:
            ConfigProblem: if the configuration cannot be used.
            Refused: if it is not the one that is run by here.
        """
        given = read_config(options.config)
        run_dir: Path = options.run_dir or given.run_dir
        layout = Layout(run_dir.absolute())
        return cls(_chosen(options, given, layout), layout, Store(layout), History(layout))


def _chosen(options: argparse.Namespace, given: ReleaseConfig, layout: Layout) -> ReleaseConfig:
    """Routes rendered by another configuration than `up`'s would take its timeouts and more from it."""
    for_elsewhere = options.command == "render" and options.out is not None
    renews = options.command == "up" and options.config is not None
    if for_elsewhere or renews or options.command in _NEED_NONE:
        return given
    kept = kept_config(layout)
    if kept is None:
        return given
    if options.config is None:
        return kept
    if apart := differing(resolved(given, layout), kept):
        raise Refused(
            f"{options.config} is not what runs in {layout.run_dir}, by {', '.join(apart)}: leave --config out, or "
            "end `intently-release up` and start it again with this file"
        )
    return given
