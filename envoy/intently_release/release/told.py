"""Which servers of a color that is left are told to let their streams move, by what the supervisor says of them."""

from dataclasses import dataclass

from intently_release.colors import Color
from intently_release.config import ReleaseConfig
from intently_release.layout import Layout
from intently_release.state import Slot, read_observed, supervisor_of


@dataclass(frozen=True, slots=True)
class Told:
    """How far the servers of one color are told.

    Attributes:
        some: Whether any was.
        awaited: Those that are going to be.
        never: Why others are not, each in words.
    """

    some: bool
    awaited: tuple[str, ...]
    never: tuple[str, ...]


class Telling:
    """Looks who was told.

    Args:
        config: Says which servers there are.
        layout: Where the supervisor writes what it runs.
    """

    def __init__(self, config: ReleaseConfig, layout: Layout) -> None:
        self._config = config
        self._layout = layout

    def of(self, color: Color, slot: Slot) -> Told:
        """Who of a color's servers was told as often as its slot says.

        Raises:
            StateProblem: if it cannot be read what the supervisor runs.
        """
        supervised = supervisor_of(self._layout) is not None
        observed = read_observed(self._layout)
        told, awaited, never = [], [], []
        for index, endpoint in enumerate(self._config.colors.of(color).endpoints):
            name = f"{color}-{index}"
            seen = observed.get(name)
            if seen is None:
                never.append(f"nobody tells {endpoint}, which no `up` runs here")
            elif seen.moves >= slot.moves and seen.deaf:
                never.append(f"{name} cannot be told: it does not wait for SIGUSR1, as servers of this version do")
            elif seen.moves >= slot.moves:
                told.append(name)
            elif supervised:
                awaited.append(name)
            else:
                never.append(f"{name} is told by the next `intently-release up`: none runs now")
        return Told(bool(told), tuple(awaited), tuple(never))
