"""Distilling: teachers are asked about many utterances, and a smaller model learns from their answers."""
