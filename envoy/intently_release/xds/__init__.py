"""Envoy's configuration: rendered, checked, validated, and put where Envoy watches for it."""
