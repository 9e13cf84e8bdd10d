"""Fuzzes the wire: messages that are nearly right, to every method, for as long as it is told.

    python tests/bench/fuzz_wire.py [--minutes 10] [--seed N]

The server has its engine in memory and a process of its own. Prints JSON; exits with 1 for a crash, a call that has no
end, a status INTERNAL or UNKNOWN, an ERROR in the log, or health that is not SERVING afterwards. Case n of a seed is
the same in every run.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from intently_server.bundle import load_bundle
from support.hostile.wire_fuzz import WireFuzz, words_of
from support.in_memory_server import in_memory_server
from support.paths import BUNDLE

_SHOWN = 20


def main() -> int:
    """Runs it; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    words = words_of(load_bundle(BUNDLE).model)
    with tempfile.TemporaryDirectory() as folder, in_memory_server(Path(folder)) as server:
        before, begun = server.inside(), time.monotonic()
        fuzz = WireFuzz(server.address, options.seed, words)
        findings = uvloop.run(fuzz.run(seconds=options.minutes * 60))
        took = time.monotonic() - begun
        alive = server.process.poll() is None
        after, errors = (server.inside() if alive else None), server.errors_logged()
        code = server.terminate()
    good = alive and not findings.faults and not errors and code == 0
    report = {
        "seed": options.seed,
        "cases": findings.cases,
        "cases_per_s": round(findings.cases / took, 1),
        "statuses": dict(sorted(findings.statuses.items())),
        "faults": findings.faults[:_SHOWN],
        "faults_in_all": len(findings.faults),
        "errors_logged": errors[:_SHOWN],
        "alive_at_the_end": alive,
        "exit_code": code,
        "rss_mib": {"before": before.rss >> 20, "after": after.rss >> 20 if after else None},
        "good": good,
    }
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
