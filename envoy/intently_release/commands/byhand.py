"""intently-release shift, promote, abort, rollback and drain."""

import argparse
import asyncio
import json
import os
import signal
import sys
import time

from intently_release.commands.deploy import DEPLOY
from intently_release.commands.desk import Desk
from intently_release.errors import Refused
from intently_release.proxy.admin import EnvoyAdmin
from intently_release.release.book import Book
from intently_release.release.byhand import ByHand, Moved
from intently_release.release.shifting import Shifting
from intently_release.state import Holder

_STOPS_WITHIN_S = 15.0
_POLL_S = 0.05


async def by_hand(desk: Desk, options: argparse.Namespace) -> int:
    """Moves traffic as the arguments say; returns the exit code.

    Raises:
        ReleaseError: if it cannot be done.
    """
    if options.command == "abort":
        await _stop_release(desk)
    with desk.store.held(options.command):
        async with EnvoyAdmin(desk.layout.admin_socket) as admin:
            book = Book(desk.store, desk.history)
            hands = ByHand(book, Shifting(desk.config, desk.layout, desk.store, admin), admin)
            match options.command:
                case "shift":
                    moved = await hands.shift(options.percent)
                case "promote":
                    moved = await hands.promote()
                case "abort":
                    moved = await hands.abort()
                case "drain":
                    moved = await hands.drain()
                case _:
                    moved = await hands.rollback()
    _tell(moved, options)
    return 0


def _tell(moved: Moved, options: argparse.Namespace) -> None:
    state, seconds = moved.state, moved.seconds
    if options.json:
        document = {"weights": state.weights, "stable": state.stable, "applied_s": round(seconds, 4)}
        sys.stdout.write(json.dumps({**document, "finished": moved.finished}) + "\n")
        return
    if moved.finished:
        sys.stdout.write(f"{moved.finished}\n")
    if options.command == "drain":
        sys.stdout.write(f"{state.stable.other} finishes what it has, and ends\n")
    elif not moved.finished:
        shares = ", ".join(f"{color} {weight} %" for color, weight in state.weights.items())
        sys.stdout.write(f"new calls: {shares}; Envoy took it up after {seconds * 1e3:.0f} ms\n")
        other = state.stable.other
        if options.command != "abort" and not state.weights[other] and state.slots[other].wanted == "running":
            sys.stdout.write(f"{other} is kept running; streams that are open to it move to {state.stable}\n")


def tell_to_stop(holder: Holder) -> None:
    """Tells a command to stop, unless it has ended meanwhile.

    Raises:
        Refused: if it is another user's.
    """
    try:
        os.kill(holder.pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError:
        raise Refused(f"{holder} is another user's: only that user, or root, can stop it") from None


async def _stop_release(desk: Desk) -> None:
    """Tells a `deploy` that runs to stop, and waits until it has: whoever aborts need not look for it."""
    holder = desk.store.holder()
    if holder is None or not holder.command.startswith(DEPLOY):
        return
    sys.stderr.write(f"intently-release: stopping {holder}\n")
    tell_to_stop(holder)
    give_up = time.monotonic() + _STOPS_WITHIN_S
    while desk.store.holder() == holder and time.monotonic() < give_up:  # noqa: ASYNC110  # another process ends
        await asyncio.sleep(_POLL_S)
