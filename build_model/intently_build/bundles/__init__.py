"""Bundles on disk: written, read, verified, described and compared."""
