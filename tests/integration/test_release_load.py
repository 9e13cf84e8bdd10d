"""The load of the release benchmarks, over real processes: it goes on until it is told to end, or says why not."""

import pytest

from support.in_memory import InMemory
from support.release_load import Rates, ReleaseLoad


async def test_it_goes_on_until_it_is_told_to_end_and_all_is_answered(server: InMemory) -> None:
    load = ReleaseLoad(server.served.address, Rates(bare=20, items=5, streams=3))

    async with load.running():
        pass

    assert (load.failed, load.failures) == (0, [])
    assert all(load.answered[kind] > 0 for kind in ("bare", "item")), load.brief()


async def test_a_load_that_reaches_nobody_says_so() -> None:
    load = ReleaseLoad("127.0.0.1:1", Rates(bare=50, wait_s=0.2))

    with pytest.raises(RuntimeError, match=r"no server answers at 127\.0\.0\.1:1"):
        async with load.running():
            pass
