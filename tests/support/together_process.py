"""The command intently-server with several front ends, and a paced engine in place of vLLM.

    python -m support.together_process [--step-ms 20] [--batch 8] [--successors 8] [--look-ms 5000]
        [--start-ms 900000] [--engine-end-ms 8000] --front-ends 2 ...

Other flags are the server's own.
"""

import argparse
import logging
import os
import sys

from intently_server.front_ends import Patience
from intently_server.main import run
from support.paced_engine import Pace, PacedEngineFactory
from support.shared_paced_engine import shared_paced_engine


def main() -> int:
    """Serves until it is told to stop; returns the exit code."""
    usual = Patience()
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--step-ms", type=float, default=2.0)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--successors", type=int, default=usual.successors)
    parser.add_argument("--look-ms", type=float, default=1e3 * usual.looked_at_every_s)
    parser.add_argument("--start-ms", type=float, default=1e3 * usual.starts_within_s)
    parser.add_argument("--engine-end-ms", type=float, default=1e3 * usual.engine_ends_within_s)
    options, flags = parser.parse_known_args()
    pace = Pace(options.step_ms / 1e3, options.batch)
    patience = Patience(
        looked_at_every_s=options.look_ms / 1e3,
        starts_within_s=options.start_ms / 1e3,
        engine_ends_within_s=options.engine_end_ms / 1e3,
        successors=options.successors,
    )
    return run(flags, PacedEngineFactory(pace), shared_paced_engine(pace), patience)


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)
