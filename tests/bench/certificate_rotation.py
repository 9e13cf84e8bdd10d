"""Changes a server's certificate again and again while calls and streams go on; prints what failed as JSON.

    python tests/bench/certificate_rotation.py --rotations 20 --seconds 30

The server has the engine in memory: what is measured is connections, not answers. Every third change is preceded by a
key that does not belong to its certificate, which must harm nobody.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import trustme
import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.certificates import ServerFiles, issue, replace, shown_serial, wait_shown
from support.memory_engine import MemoryEngineFactory
from support.paths import BUNDLE
from support.rotation_load import RotationLoad
from support.serving import serving

_MISMATCH_EVERY = 3
_STREAMS = 8
_SEEN_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Report:
    """What happened.

    Attributes:
        calls: Unary calls that were answered, over connections that stayed open and over new ones.
        connections: Those of them that made a connection of their own.
        items: Answers on streams that stayed open.
        failures: What failed.
        streams: Streams that were open all the time.
        streams_unbroken: Those of them that answered every item and ended in order.
        rotations: Changes of the certificate.
        rotations_seen: Of how many a new connection was shown the new certificate.
        mismatches: Keys that did not belong to their certificate.
        seconds: How long it took.
    """

    calls: int
    connections: int
    items: int
    failures: list[str]
    streams: int
    streams_unbroken: int
    rotations: int
    rotations_seen: int
    mismatches: int
    seconds: float

    @property
    def good(self) -> bool:
        """Whether nothing failed and everything was seen."""
        return not self.failures and self.streams == self.streams_unbroken and self.rotations == self.rotations_seen


async def rotate(bundle: Path, folder: Path, rotations: int, seconds: float) -> Report:
    """Serves, loads, and changes the certificate `rotations` times, spread over so many seconds."""
    authority, files, started = trustme.CA(), ServerFiles(folder), time.monotonic()
    seen, mismatches = 0, 0
    files.write(issue(authority))
    async with serving(bundle, MemoryEngineFactory(), **files.settings) as served:
        load = RotationLoad(served.address, authority)
        async with load.running(streams=_STREAMS):
            for number in range(rotations):
                await asyncio.sleep(seconds / rotations)
                pair, before = issue(authority), await shown_serial(served.address, authority)
                if number % _MISMATCH_EVERY == 0:
                    replace(files.key, pair.key)
                    mismatches += 1
                    await asyncio.sleep(0.1)
                    if await shown_serial(served.address, authority) != before:
                        load.failures.append("a pair that does not belong together was taken")
                files.write(pair)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(wait_shown(served.address, authority, pair.serial), _SEEN_WITHIN_S)
                    seen += 1
    answered = load.answered
    return Report(
        calls=answered["unary"] + answered["connection"],
        connections=answered["connection"],
        items=answered["item"],
        failures=load.failures,
        streams=_STREAMS,
        streams_unbroken=load.unbroken_streams,
        rotations=rotations,
        rotations_seen=seen,
        mismatches=mismatches,
        seconds=round(time.monotonic() - started, 1),
    )


def main() -> int:
    """Returns 0 if nothing failed, 1 otherwise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    parser.add_argument("--rotations", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=30.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = uvloop.run(rotate(options.bundle, Path(folder), options.rotations, options.seconds))
    sys.stdout.write(f"{json.dumps(asdict(report), indent=2)}\n")
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())
