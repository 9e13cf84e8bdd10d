"""Security: TLS with certificates that change while the server runs, and who may call."""

from intently_server.security.problem import SecurityProblem
from intently_server.security.security import Security, read_security

__all__ = ["Security", "SecurityProblem", "read_security"]
