"""Judges a canary beside the stable color by Envoy's own statistics."""
