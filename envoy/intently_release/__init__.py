"""Releases on Envoy: renders its configuration, runs it, shifts traffic between two colors, judges, rolls back."""
