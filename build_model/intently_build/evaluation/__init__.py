"""How well bundles do, side by side: asks each about the same rows, and reckons, compares, judges and shows."""
