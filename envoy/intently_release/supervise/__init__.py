"""Runs Envoy and the servers of one host: starts what is wanted, restarts what dies, ends all in order."""

from intently_release.supervise.publishing import publish_state
from intently_release.supervise.signals import on_signals
from intently_release.supervise.supervisor import supervise, supervising

__all__ = ["on_signals", "publish_state", "supervise", "supervising"]
