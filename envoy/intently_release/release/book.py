"""What is wanted and what was done, as a release changes both."""

from collections.abc import Sequence

from intently_release.colors import Color
from intently_release.errors import Refused, StateProblem
from intently_release.state.history import Entry, Event, History
from intently_release.state.state import Phase, ReleaseState, State
from intently_release.state.store import Store


class Book:
    """Reads what is wanted, and writes down what was done.

    Args:
        store: Keeps the state.
        history: Is told what was done.
    """

    def __init__(self, store: Store, history: History) -> None:
        self._store = store
        self._history = history

    def state(self) -> State:
        """What is wanted.

        Raises:
            Refused: if nothing was ever wanted here.
        """
        state = self._store.read()
        if state is None:
            raise Refused("nothing runs here yet: intently-release up --bundle DIR")
        return state

    def write(self, state: State) -> None:
        """Makes a state the wanted one, while traffic stays as it is."""
        self._store.write(state)

    def note(self, event: Event, state: State, release: ReleaseState, reasons: tuple[str, ...] = ()) -> None:
        """Tells the history of a release; once, though whoever was killed after it comes again."""
        entry = entry_of(event, state, release, reasons)
        if not any(same(entry, known) for known in self._last_done()):
            self._history.append(entry)

    def note_moved(self, color: Color, reasons: tuple[str, ...]) -> None:
        """Tells the history what came of the streams of a color that is kept. Needs no lock."""
        slot = self.state().slots[color]
        self._history.append(
            Entry(event=Event.MOVED, color=color, bundle=slot.bundle, revision=slot.revision, reasons=reasons)
        )

    def latest(self) -> Event | None:
        """What was done last."""
        entries = self._history.entries()
        return entries[-1].event if entries else None

    def tells_of(self, release: ReleaseState) -> bool:
        """Whether the history knows of a release."""
        return any(known.release == release.id for known in self._history.entries())

    def told(self, state: State) -> State:
        """Tells the history what is pending, once, and returns the state without it, which is not yet written."""
        if state.pending is not None and state.pending not in self._last_done():
            self._history.append(state.pending)
        return state.changed(pending=None)

    def _last_done(self) -> Sequence[Entry]:
        """What was done last under the lock, if anything: what is told of streams may come between."""
        return [entry for entry in self._history.entries() if entry.event is not Event.MOVED][-1:]


def entry_of(event: Event, state: State, release: ReleaseState, reasons: tuple[str, ...] = ()) -> Entry:
    """What the history is told of a release."""
    slot = state.slots[release.canary]
    return Entry(
        event=event,
        release=release.id,
        color=release.canary,
        bundle=slot.bundle,
        revision=slot.revision,
        weights=state.weights,
        reasons=reasons,
    )


def same(entry: Entry, known: Entry) -> bool:
    """Whether both tell of the same thing."""
    return (entry.event, entry.release, entry.weights) == (known.event, known.release, known.weights)


def under_way(state: State) -> ReleaseState:
    """The release.

    Raises:
        StateProblem: if there is none.
    """
    if state.release is None:
        raise StateProblem("the release under way was taken out of the state while it was being changed")
    return state.release


def at(state: State, phase: Phase, reasons: tuple[str, ...] = ()) -> State:
    """The same, as far as that."""
    return state.changed(release=under_way(state).model_copy(update={"phase": phase, "reasons": reasons}))
