"""The server: gRPC in front of a vLLM engine in its own process."""
