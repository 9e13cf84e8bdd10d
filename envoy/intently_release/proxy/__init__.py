"""Asks a running Envoy, over its admin socket, what it does."""
