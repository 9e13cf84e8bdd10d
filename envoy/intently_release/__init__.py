"""Releases on Envoy. Nothing is here yet but the import name and its place among the layers."""
