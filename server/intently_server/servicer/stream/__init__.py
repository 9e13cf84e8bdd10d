"""ClassifyStream: how one stream begins, what it keeps, and how it ends."""

from intently_server.servicer.stream.ages import StreamAges
from intently_server.servicer.stream.item import Answer, Classify
from intently_server.servicer.stream.session import StreamLimits, serve_stream

__all__ = ["Answer", "Classify", "StreamAges", "StreamLimits", "serve_stream"]
