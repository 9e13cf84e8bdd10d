"""How often both colors answer the same request differently; it needs no labels."""
