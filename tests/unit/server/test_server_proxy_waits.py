"""How long a call waited in a proxy: what the proxy says, whatever its clock, and nothing that harms another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intently_server.servicer.proxy_waits import ProxyWait, ProxyWaits

BY, OTHER = "ipv4:10.1.2.3:4", "ipv4:10.9.9.9:9"
NOW = 1_800_000_000.0
times = st.floats(-100.0, 100.0).map(lambda seconds: round(seconds, 3))


class Seen:
    """Calls that come one after another, by a clock that shows what a test says."""

    def __init__(self) -> None:
        self.now, self.ahead = 100.0, NOW
        self.waits = ProxyWaits(lambda: self.now + self.ahead, lambda: self.now)

    def begin(self, wait: float = 0.0, connection: str = BY, **others: str) -> float:
        """A call that a proxy says it has had for so long."""
        told = {"x-request-start": f"t={self.now + self.ahead - wait:.3f}"} | {
            k.replace("_", "-"): v for k, v in others.items()
        }
        return self.waits.begin(connection, tuple(told.items())).seconds


@given(ahead=times, waits=st.lists(st.floats(0.0, 5.0), min_size=1))
def test_a_wait_is_what_a_call_took_longer_than_one_that_found_nobody(ahead: float, waits: list[float]) -> None:
    seen = Seen()
    assert seen.begin(-ahead) == 0.0  # by a clock that is so far ahead; it stays under way

    for wait in waits:
        assert seen.begin(wait - ahead) == pytest.approx(wait, abs=0.002)


def test_a_long_overload_does_not_become_what_is_usual() -> None:
    seen = Seen()
    seen.begin()
    for _ in range(60):
        seen.now += 60.0
        last = seen.begin(1.0)

    assert last == pytest.approx(0.8, abs=0.05)  # an hour later: two clocks go apart by 0.18 s at most


@pytest.mark.parametrize("step", [-2.0, 2.0])
def test_a_proxy_s_clock_that_was_set_is_believed_once_the_connection_is_idle(step: float) -> None:
    seen = Seen()
    seen.begin()
    seen.begin(step)
    seen.waits.end(BY)
    seen.waits.end(BY)
    seen.now += 0.02

    assert seen.begin(step) == 0.0
    assert seen.begin(step + 1.0) == pytest.approx(1.0, abs=0.002)


@pytest.mark.parametrize("step", [-2.0, 2.0])
def test_this_machine_s_clock_may_be_set_at_any_time(step: float) -> None:
    seen = Seen()
    seen.begin()
    seen.ahead += step

    assert seen.begin(step) == 0.0  # by the proxy's clock, which was not
    assert seen.begin(step + 1.0) == pytest.approx(1.0, abs=0.002)


def test_a_connection_whose_calls_end_as_fast_as_they_come_is_not_idle() -> None:
    seen = Seen()
    seen.begin()
    for _ in range(100):
        seen.waits.end(BY)
        seen.now += 0.003
        last = seen.begin(1.0)

    assert last == pytest.approx(1.0, abs=0.002)


@given(lie=times, wait=st.floats(0.1, 5.0))
def test_a_connection_that_lies_changes_nothing_for_another(lie: float, wait: float) -> None:
    seen = Seen()
    seen.begin()
    seen.begin(lie, OTHER)

    assert seen.begin(wait) == pytest.approx(wait, abs=0.002)


def test_connections_are_forgotten_when_there_are_too_many() -> None:
    seen = Seen()
    seen.begin()
    for number in range(3000):
        seen.begin(0.0, f"ipv4:10.0.0.1:{number}")
        if number % 500 == 0:
            assert seen.begin(1.0) == pytest.approx(1.0, abs=0.002)  # one that is used is kept

    for number in range(2000):
        seen.begin(0.0, f"ipv4:10.0.0.2:{number}")
    assert seen.begin(1.0) == 0.0  # as by one that is new


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("x-request-start", ""),),
        (("x-request-start", "yesterday"),),
        (("x-request-start", "t=nan"),),
        (("x-request-start", "t=-inf"),),
        (("x-request-start", "t=1800000000000"),),  # milliseconds
        (("x-request-start", b"\xff"),),
        (("x-request-start", f"t={NOW + 90}"), ("x-envoy-attempt-count", "2")),
    ],
)
def test_what_says_nothing_is_no_wait_and_is_not_remembered(metadata: tuple[tuple[str, str | bytes], ...]) -> None:
    seen = Seen()
    assert seen.waits.begin(BY, metadata) == ProxyWait()
    seen.waits.end(BY)
    assert seen.begin() == 0.0
    assert seen.waits.begin(BY, metadata) == ProxyWait()

    assert seen.begin(2.0) == pytest.approx(2.0, abs=0.002)


def test_callers_by_a_unix_socket_share_a_name_and_are_not_believed() -> None:
    seen = Seen()
    seen.begin(0.0, "unix:")

    assert seen.begin(1.0, "unix:") == 0.0


@pytest.mark.parametrize(
    ("timeout", "left_s"),
    [("5S", 4.0), ("2500m", 1.5), ("900000u", -0.1), ("1H", 3599.0), ("-", None), ("", None), ("5 s", None)],
)
def test_what_is_left_of_a_deadline_counts_from_when_the_proxy_had_the_call(timeout: str, left_s: float | None) -> None:
    seen = Seen()
    seen.begin()
    told = (("x-request-start", f"t={NOW + 99}"), ("x-intently-timeout", timeout))

    first = seen.waits.begin(BY, told)
    later = seen.waits.begin(BY, (*told, ("x-envoy-attempt-count", "2")))
    assert first.seconds == pytest.approx(1.0)
    assert later.seconds == 0.0
    assert first.left_s == later.left_s == pytest.approx(left_s)


def test_a_first_try_and_a_time_without_its_prefix_count() -> None:
    seen = Seen()
    seen.begin()

    assert seen.begin(1.5, x_envoy_attempt_count="1") == pytest.approx(1.5)
    assert seen.waits.begin(BY, (("x-request-start", f"{NOW + 98.5}"),)).seconds == pytest.approx(1.5)
