"""The gRPC side: protobuf in, protobuf out, and every error as a status."""
