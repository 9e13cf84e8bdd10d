"""Builds bundles: train, cut the head out, calibrate, evaluate, package."""
