"""Restarts two servers in turn under load, behind a proxy that sees their health, and counts what that costs.

    python tests/bench/drain_under_load.py [--restarts 20] [FLAGS OF THE SERVER]

The load is calls and streams of the client library, and calls by gRPC alone, which retries nothing. Prints JSON; exits
with 1 if a call failed, an item was lost or answered twice, or a server did not end with 0.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.rolling_restart import restart_under_load

_SHOWN = 20


def main() -> int:
    """Runs it; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--restarts", type=int, default=20)
    parser.add_argument("--drain-delay", default="2")
    options, flags = parser.parse_known_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        arguments = ("--drain-delay", options.drain_delay, *flags)
        restarts = uvloop.run(restart_under_load(Path(folder), options.restarts, *arguments))
    good = not restarts.failures and not restarts.errors_logged and not any(restarts.exit_codes)
    report = {
        "restarts": len(restarts.exit_codes),
        "seconds": round(time.monotonic() - begun, 1),
        "answered": dict(restarts.answered),
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
