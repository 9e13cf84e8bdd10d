"""The rate of an engine that several front ends share, from what each has measured of it."""

from collections.abc import Sequence

from intently_server.front_ends.rates import Rates


class Looks:
    """Looks once a second at two front ends, which tell what a test says."""

    def __init__(self) -> None:
        self.now = 100.0
        self.rates: Rates[int] = Rates(lambda: self.now)

    def see(self, *looks: Sequence[float | None]) -> float | None:
        """The rate after these looks; what each tells, in the order of their places."""
        for told in looks:
            self.now += 1.0
            self.rates.take(dict(enumerate(told)))
        return self.rates.together


def test_nobody_was_full() -> None:
    assert Looks().see() is None
    assert Looks().see([None, None]) is None


def test_full_together_each_has_its_share() -> None:
    assert Looks().see([100.0, None], [101.0, 99.0], [99.5, 100.5]) == 200.0
    assert Looks().see([100.0, 100.0], *[[100.0, 100.0]] * 60) == 200.0  # when they were last full


def test_full_one_after_the_other_each_has_the_whole_engine() -> None:
    looks = Looks()
    assert looks.see([200.0, None], [201.0, None], [201.0, None], [201.0, None]) == 201.0
    assert looks.see([201.0, 190.0], [201.0, 195.0]) == 195.0


def test_full_together_again() -> None:
    assert Looks().see([200.0, None], *[[200.0, None]] * 5, [200.0, 190.0], [120.0, 110.0], [100.0, 101.0]) == 201.0


def test_who_is_gone_does_not_count() -> None:
    looks = Looks()
    assert looks.see([100.0, 100.0], [101.0]) == 101.0
    assert looks.see([]) is None
