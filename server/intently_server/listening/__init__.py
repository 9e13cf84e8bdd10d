"""The gRPC server and its port."""

from intently_server.listening.grpc_server import AddressError
from intently_server.listening.listening import Listening

__all__ = ["AddressError", "Listening"]
