"""Restarts two servers in turn under load, behind a proxy that sees their health, and counts what that costs.

    python tests/bench/drain_under_load.py [--restarts 20] [--rate 100] [FLAGS OF THE SERVERS]

The load is four runs of `intently bench`: --rate calls a second by gRPC alone, which retries nothing; half as many that
are retried as the client library does; as many items on its streams; and a batch of eight for each ten of them. A few
callers beside them see that each answer is the right one, and ordered ones in order. Flags that it does not know go to
the servers. Prints JSON; exits with 1 if a call failed, an item was lost or answered twice, or a server did not end
with 0.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.release_load import Rates
from support.rolling_restart import restart_under_load

_SHOWN = 20


def main() -> int:
    """Runs it; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--restarts", type=int, default=20)
    parser.add_argument("--drain-delay", default="2", metavar="S")
    parser.add_argument("--rate", type=float, default=100.0, metavar="R", help="calls a second (default: %(default)g)")
    options, flags = parser.parse_known_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        arguments = ("--drain-delay", options.drain_delay, *flags)
        rates = Rates(
            bare=options.rate, calls=options.rate / 2, batches=options.rate / 10, items=options.rate, streams=8
        )
        restarts = uvloop.run(restart_under_load(Path(folder), options.restarts, *arguments, rates=rates))
    good = not restarts.failures and not restarts.errors_logged and not any(restarts.exit_codes)
    report = {
        "restarts": len(restarts.exit_codes),
        "seconds": round(time.monotonic() - begun, 1),
        "answered": dict(restarts.answered),
        "bench": restarts.bench,
        "failures": restarts.failures[:_SHOWN],
        "failures_in_all": len(restarts.failures),
        "exit_codes": restarts.exit_codes,
        "errors_logged": restarts.errors_logged[:_SHOWN],
        "good": good,
    }
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
