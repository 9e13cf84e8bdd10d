"""Several processes that answer calls, and share one engine: each is a whole server with a part of its bounds."""

from intently_server.front_ends.patience import Patience
from intently_server.front_ends.shared_engine import SharedEngine
from intently_server.front_ends.starting import FrontEndProblem, StartFailed
from intently_server.front_ends.together import serve_together

__all__ = ["FrontEndProblem", "Patience", "SharedEngine", "StartFailed", "serve_together"]
