"""Test rows among what a model is made from: they would make it look better than it is.

All that trains asks here. Texts are compared without case and white space, and what is done is told:

- Rows of the data set itself: some sets are published with training rows that repeat test rows, and the figures of
  others were measured so. As many as `data.repeated_test_rows` allows are learnt from; more are refused.
- Whatever else is learnt from (texts that a base reads, utterances without labels, altered copies): left out.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from intently_build.errors import BuildError
from intently_build.recipe import Data
from intently_build.rows import Labels, SplitRows, read_split
from intently_build.steps.journal import Journal
from intently_build.steps.step import Proof

Item = TypeVar("Item")


class HeldOut:
    """Test rows.

    Args:
      texts: their utterances.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._rows = [fold(text) for text in texts]
        self._known = frozenset(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def without(self, items: Sequence[Item], text: Callable[[Item], str]) -> list[Item]:
        """Returns those of `items` whose text is no test row."""
        return [item for item in items if fold(text(item)) not in self._known]

    def repeated_in(self, texts: Iterable[str]) -> int:
        """Returns how many of the test rows stand among `texts`."""
        seen = {fold(text) for text in texts}
        return sum(row in seen for row in self._rows)


@dataclass(frozen=True)
class Repeated:
    """How many of a set's test rows stand among the rows that a model is made from, as the set is published.

    Attributes:
      test: how many test rows there are; none if the recipe names none.
      training, validation: how many of them are training rows too, and validation rows.
    """

    test: int
    training: int
    validation: int

    def tell(self, journal: Journal) -> Proof:
        """Says it where there is something to say. Returns what a proof states of it."""
        if not self.test:
            journal.say("  no test rows to compare the training rows with: the recipe names none")
        elif self.training or self.validation:
            journal.say(
                f"  warning: of {self.test} test rows, {self.training} are training rows too and {self.validation} "
                "validation rows; the set is published so, and data.repeated_test_rows allows it"
            )
        return asdict(self)


def check_test_rows(data: Data, held_out: HeldOut, train: SplitRows, validation: SplitRows) -> Repeated:
    """Returns how many test rows stand in a set's own training and validation rows.

    Raises BuildError if more of them do, in either, than `data.repeated_test_rows` allows.
    """
    found = {
        name: held_out.repeated_in(row.text for row in (*split.in_scope, *split.out_of_scope))
        for name, split in (("training", train), ("validation", validation))
    }
    for name, repeated in found.items():
        if held_out and repeated / len(held_out) > data.repeated_test_rows:
            raise BuildError(
                f"data: {repeated} of {len(held_out)} test rows ({repeated / len(held_out):.1%}) are {name} rows too; "
                f"take them out of the {name} rows, or, if the data set is published so, allow it with "
                "data.repeated_test_rows"
            )
    return Repeated(len(held_out), found["training"], found["validation"])


def held_out_rows(folder: Path, data: Data, labels: Labels) -> HeldOut:
    """Returns the test rows; none if the recipe names none. Raises BuildError if they cannot be read."""
    if data.test is None:
        return HeldOut()
    split = read_split(folder, data, labels, "test")
    return HeldOut(row.text for row in (*split.in_scope, *split.out_of_scope))


def fold(text: str) -> str:
    """Returns the text without case and white space: texts that fold alike count as the same row."""
    return "".join(text.casefold().split())
