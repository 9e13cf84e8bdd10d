"""After each attack, and while it lasts, others are answered, and the server holds no more than it did."""

import pytest

from support.hostile.attack import Attack
from support.hostile.catalogue import ATTACKS
from support.hostile.ordeal import Ordeal
from support.in_memory_server import InMemoryServer

pytestmark = pytest.mark.timeout(120)

_RSS_GROWTH = 0.1


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
async def test_an_attack_leaves_nothing_behind(ordeal: Ordeal, server: InMemoryServer, attack: Attack) -> None:
    aftermath = await ordeal.go_through(attack, attack.times)  # it waits for fds, tasks and the engine to come to rest
    if aftermath.growth >= _RSS_GROWTH:  # an allocator's pools fill once; a leak grows again
        aftermath = await ordeal.go_through(attack, attack.times)

    assert aftermath.errors == ()
    assert aftermath.growth < _RSS_GROWTH
    assert server.process.poll() is None
