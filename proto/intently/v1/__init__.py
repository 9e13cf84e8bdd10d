"""The contract: generated messages and stubs of package intently.v1, and the one algorithm that belongs to it."""
