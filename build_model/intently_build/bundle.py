"""The manifest of a bundle under its earlier name; `bundles.manifest` is where it is."""

from intently_build.bundles.manifest import MANIFEST, list_files, manifest_layout, read_manifest, write_manifest

__all__ = ["MANIFEST", "list_files", "manifest_layout", "read_manifest", "write_manifest"]
