"""Engines: what computes logits."""
