"""How much memory one caller can make a server take, at most: by what it sends, no more than some times its size."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from intently_server.settings import Settings
from support.hostile.attack import Attack
from support.hostile.calls import LIMIT, lists_of_nothing
from support.hostile.dawdlers import batches_that_a_living_caller_does_not_read, large_unfinished_messages
from support.in_memory_server import InMemoryServer, in_memory_server

pytestmark = pytest.mark.timeout(60)

_MiB = 1024 * 1024
_OTHERS = 40 * _MiB  # of gRPC's own buffers, and what the allocator keeps
UNSENT = Settings.model_fields["max_unsent_bytes_per_caller"].default
# What the messages of an attack may take, all that are there at once: an unfinished one no more than its bytes, twice
# while they are put together; of lists one at a time is decoded, into some 50 times its bytes. Unread answers
# may take what is set, and those being made 6 times their 1.5 MiB, a handful at once.
BOUNDS = {
    Attack(large_unfinished_messages, 50): 2 * 50 * LIMIT,
    Attack(lists_of_nothing, 5): (6 * 2 + 55) * LIMIT,
    Attack(batches_that_a_living_caller_does_not_read, 100): UNSENT + 50 * _MiB,
}


@pytest.fixture
def fresh(bundle_path: Path, tmp_path: Path) -> Iterator[InMemoryServer]:
    """A server that no attack has made larger yet."""
    with in_memory_server(tmp_path, bundle=bundle_path) as running:
        yield running


@pytest.mark.parametrize("attack", BOUNDS, ids=lambda attack: attack.name)
async def test_memory_at_its_peak_is_bounded(fresh: InMemoryServer, attack: Attack) -> None:
    before = peak = fresh.inside().rss
    attacking = asyncio.ensure_future(attack.run(fresh.address, attack.times))
    while not attacking.done():
        peak = max(peak, fresh.rss())
        await asyncio.wait([attacking], timeout=0.02)
    await attacking

    assert peak - before < BOUNDS[attack] + _OTHERS
