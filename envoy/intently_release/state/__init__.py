"""What is wanted, who may change it, what runs, and what was done: files that survive a kill at any moment."""

from intently_release.state.files import replace_file
from intently_release.state.history import Entry, Event, History
from intently_release.state.lock import Holder, holder_of, locked
from intently_release.state.observed import Observed, Seen, read_observed, supervisor_of, write_observed
from intently_release.state.state import Phase, ReleaseState, Slot, State
from intently_release.state.store import Store

__all__ = [
    "Entry",
    "Event",
    "History",
    "Holder",
    "Observed",
    "Phase",
    "ReleaseState",
    "Seen",
    "Slot",
    "State",
    "Store",
    "holder_of",
    "locked",
    "read_observed",
    "replace_file",
    "supervisor_of",
    "write_observed",
]
