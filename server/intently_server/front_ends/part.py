"""A front end's part of what the whole server may hold."""

from intently_server.settings import Settings, part_of_bound

_SHARED = (
    "max_in_flight",
    "max_queued_tokens",
    "max_running",
    "max_streams",
    "max_connections",
    "max_unsent_bytes",
    "max_unseen_calls",
)


def part_of(settings: Settings, address: str) -> Settings:
    """The settings of one of `settings.front_ends` that listen on an address together.

    Bounds are shared out, rounded up. The ready file is the first process's.
    """
    own: dict[str, object] = {name: part_of_bound(getattr(settings, name), settings.front_ends) for name in _SHARED}
    return settings.model_copy(update={**own, "address": address, "ready_file": None})
