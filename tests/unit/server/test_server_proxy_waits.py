"""How long a call waited in a proxy: what the proxy says, whatever its clock, and nothing that harms another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intently_server.servicer.proxy_waits import ProxyWaits

BY = "ipv4:10.1.2.3:4"
times = st.floats(-100.0, 100.0).map(lambda seconds: round(seconds, 3))


class Wall:
    """A clock that shows what a test says."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def started(at: float, **others: str) -> tuple[tuple[str, str], ...]:
    """Metadata as a proxy adds it."""
    told = {"x-request-start": f"t={at:.3f}"} | {name.replace("_", "-"): value for name, value in others.items()}
    return tuple(told.items())


@given(ahead=times, waits=st.lists(st.floats(0.0, 5.0), min_size=1))
def test_a_wait_is_what_a_call_took_longer_than_the_fastest_of_its_connection(ahead: float, waits: list[float]) -> None:
    wall = Wall()
    seen = ProxyWaits(wall)
    assert seen.of(BY, started(wall.now + ahead)) == 0.0  # by a clock that is so far ahead, and did not wait

    for wait in waits:
        wall.now += 1.0
        assert seen.of(BY, started(wall.now - wait + ahead)) == pytest.approx(wait, abs=0.002)


def test_a_clock_that_was_set_is_believed_again_in_time() -> None:
    wall = Wall()
    seen = ProxyWaits(wall)
    seen.of(BY, started(wall.now + 3.0))
    for _ in range(13):
        wall.now += 60.0
        last = seen.of(BY, started(wall.now))

    assert last == 0.0


@given(lie=times, wait=st.floats(0.1, 5.0))
def test_a_connection_that_lies_changes_nothing_for_another(lie: float, wait: float) -> None:
    wall = Wall()
    seen = ProxyWaits(wall)
    seen.of(BY, started(wall.now))
    seen.of("ipv4:10.9.9.9:9", started(wall.now + lie))

    assert seen.of(BY, started(wall.now - wait)) == pytest.approx(wait, abs=0.002)


def test_many_connections_are_remembered_and_not_all() -> None:
    wall = Wall()
    seen = ProxyWaits(wall)
    seen.of(BY, started(wall.now))
    for number in range(2000):
        seen.of(f"ipv4:10.0.0.1:{number}", started(wall.now))
        if number < 500:
            assert seen.of(BY, started(wall.now - 1.0)) == pytest.approx(1.0)

    assert seen.of(BY, started(wall.now - 1.0)) == 0.0  # as of one that is new


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("x-request-start", ""),),
        (("x-request-start", "yesterday"),),
        (("x-request-start", "t=nan"),),
        (("x-request-start", "t=-inf"),),
        (("x-request-start", b"\xff"),),
        started(1_799_999_990.0, x_envoy_attempt_count="2"),
    ],
)
def test_what_says_nothing_is_no_wait_and_is_not_remembered(metadata: tuple[tuple[str, str | bytes], ...]) -> None:
    wall = Wall()
    seen = ProxyWaits(wall)
    assert seen.of(BY, metadata) == 0.0
    assert seen.of(BY, started(wall.now)) == 0.0
    assert seen.of(BY, metadata) == 0.0

    assert seen.of(BY, started(wall.now - 2.0)) == pytest.approx(2.0)


def test_a_first_try_and_a_time_without_its_prefix_count() -> None:
    wall = Wall()
    seen = ProxyWaits(wall)
    seen.of(BY, started(wall.now))

    assert seen.of(BY, started(wall.now - 1.5, x_envoy_attempt_count="1")) == pytest.approx(1.5)
    assert seen.of(BY, (("x-request-start", f"{wall.now - 1.5}"),)) == pytest.approx(1.5)
