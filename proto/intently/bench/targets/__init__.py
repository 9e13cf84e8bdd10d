"""What load is sent to: Intently over gRPC, `vllm serve` over HTTP, or an object of Python."""
