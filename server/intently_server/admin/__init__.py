"""The admin port: HTTP for people and probes, read-only."""

from intently_server.admin.port import AdminPort
from intently_server.admin.status import StatusReport

__all__ = ["AdminPort", "StatusReport"]
