"""Golden vectors under their earlier name; `bundles.golden` is where they are."""

from intently_build.bundles.golden import ROLES, golden_vector

__all__ = ["ROLES", "golden_vector"]
