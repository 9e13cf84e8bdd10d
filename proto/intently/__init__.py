"""Intently's callers' package: the contract (`intently.v1`) and an asyncio client."""
