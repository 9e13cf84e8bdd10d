"""The command intently: ask a server from the shell."""

from intently.cli.run import FAILED, USAGE, main, run

__all__ = ["FAILED", "USAGE", "main", "run"]
