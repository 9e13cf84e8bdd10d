"""Bundles: reads one and verifies all of it before anything is served from it."""

from intently_server.bundle.errors import MANIFEST, BundleError
from intently_server.bundle.load import Bundle, load_bundle

__all__ = ["MANIFEST", "Bundle", "BundleError", "load_bundle"]
