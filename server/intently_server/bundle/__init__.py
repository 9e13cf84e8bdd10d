"""Bundles: reads one and verifies all of it before anything is served from it."""

from intently_server.bundle.errors import MANIFEST, BundleError
from intently_server.bundle.load import Bundle, load_bundle, read_bundle
from intently_server.bundle.verified_start import begin_verifying, started_once_verified

__all__ = [
    "MANIFEST",
    "Bundle",
    "BundleError",
    "begin_verifying",
    "load_bundle",
    "read_bundle",
    "started_once_verified",
]
