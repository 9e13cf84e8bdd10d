"""Bundles of a published shape with random weights: to measure speed and memory where no weights are."""
