"""What `up` shall run: what was live here, or the bundle of a first start."""

import logging
from dataclasses import dataclass
from pathlib import Path

from intently_release.colors import Color, all_to
from intently_release.commands.desk import Desk
from intently_release.errors import Refused
from intently_release.release.packaged import Packaged, read_packaged, revision_of
from intently_release.state import Entry, Event, Slot, State
from intently_release.supervise.unproven import is_unproven, note_unproven

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Start:
    """What `up` shall run.

    Attributes:
        state: As it is written down.
        first: Whether nothing of it has ever served, so that nothing is lost with it.
    """

    state: State
    first: bool


def what_to_start(desk: Desk, bundle: Path | None, *, adopts: bool) -> Start:
    """Reads it, and writes it down where it is new. The caller has the run directory.

    The lock of commands is taken only to write: a supervisor must start again beneath a release that is under way.

    Args:
        desk: Where.
        bundle: What was asked for; None for what was live.
        adopts: Whether anything runs here still.

    Raises:
        Refused: if there is nothing to start.
        Busy: if a command holds the state, and it is to be changed.
    """
    state = desk.store.read()
    if (wanted := _wanted(desk, state, bundle, adopts=adopts)) != state:
        with desk.store.held("up"):
            before = desk.store.read()
            wanted = _wanted(desk, before, bundle, adopts=adopts)
            if wanted.slots[wanted.stable.other].bundle is None:
                note_unproven(desk.layout, wanted.slots[wanted.stable].revision)
            if wanted != before:
                _note(desk, wanted)
            desk.store.write(wanted)
    return Start(wanted, first=not adopts and is_unproven(desk.layout, wanted))


def _wanted(desk: Desk, state: State | None, bundle: Path | None, *, adopts: bool) -> State:
    if state is None:
        if bundle is None:
            raise Refused("nothing ran here yet: name a bundle to start with, --bundle DIR")
        return _first(read_packaged(bundle))
    if bundle is None:
        return state
    may_replace = not adopts and is_unproven(desk.layout, state)
    try:
        packaged = read_packaged(bundle)
    except Refused as problem:
        if may_replace:
            raise
        logger.warning("%s; going on with what was live, %s", problem, _live(state).bundle)
        return state
    if may_replace:
        return _first(packaged)
    return _instead(state, packaged, adopts=adopts)


def _first(packaged: Packaged) -> State:
    slot = Slot(bundle=packaged.path, revision=packaged.revision, wanted="running")
    return State(stable=Color.BLUE, weights=all_to(Color.BLUE), slots={Color.BLUE: slot})


def _instead(state: State, packaged: Packaged, *, adopts: bool) -> State:
    """What was live; another bundle only where that is lost, and nothing serves it any more."""
    live = _live(state)
    is_there = live.bundle is not None and revision_of(live.bundle) == live.revision
    if is_there or adopts:
        if packaged.revision != live.revision:
            logger.warning(
                "%s (%s) is live here and goes on; --bundle %s (%s) is left out: release it by "
                "`intently-release deploy %s`",
                *(live.bundle, live.revision[:12], packaged.path, packaged.revision[:12], packaged.path),
            )
        return state
    if packaged.revision != live.revision:
        logger.warning(
            "%s was live here, and %s does not hold it any more: starting %s (%s), which nobody has judged",
            *(live.revision[:12], live.bundle, packaged.path, packaged.revision[:12]),
        )
    slot = live.model_copy(update={"bundle": packaged.path, "revision": packaged.revision})
    return state.with_slot(state.stable, slot)


def _note(desk: Desk, state: State) -> None:
    """Tells the history of a bundle that goes live unjudged; once, though whoever was killed after it comes again."""
    slot = _live(state)
    entry = Entry(
        event=Event.STARTED,
        color=state.stable,
        bundle=slot.bundle,
        revision=slot.revision,
        weights=state.weights,
        reasons=("Started by `intently-release up`.",),
    )
    if not any(entry.model_copy(update={"at": known.at}) == known for known in desk.history.entries()[-1:]):
        desk.history.append(entry)


def _live(state: State) -> Slot:
    return state.slots[state.stable]
