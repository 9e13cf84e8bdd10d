"""intently-release shift, promote, abort, rollback and drain."""

import argparse
import json
import sys

from intently_release.commands.desk import Desk
from intently_release.proxy.admin import EnvoyAdmin
from intently_release.release.byhand import ByHand
from intently_release.release.shifting import Shifting


async def by_hand(desk: Desk, options: argparse.Namespace) -> int:
    """Moves traffic as the arguments say; returns the exit code.

    Raises:
        ReleaseError: if it cannot be done.
    """
    with desk.store.held(options.command):
        async with EnvoyAdmin(desk.layout.admin_socket) as admin:
            hands = ByHand(
                desk.config, desk.store, desk.history, Shifting(desk.config, desk.layout, desk.store, admin), admin
            )
            match options.command:
                case "shift":
                    state, seconds = await hands.shift(options.percent)
                case "promote":
                    state, seconds = await hands.promote()
                case "abort":
                    state, seconds = await hands.abort()
                case "drain":
                    state, seconds = await hands.drain(), 0.0
                case _:
                    state, seconds = await hands.rollback()
    if options.json:
        document = {"weights": state.weights, "stable": state.stable, "applied_s": round(seconds, 4)}
        sys.stdout.write(json.dumps(document) + "\n")
    elif options.command == "drain":
        sys.stdout.write(f"{state.stable.other} finishes what it has, and ends\n")
    else:
        shares = ", ".join(f"{color} {weight} %" for color, weight in state.weights.items())
        sys.stdout.write(f"new calls: {shares}; Envoy took it up after {seconds * 1e3:.0f} ms\n")
    return 0
