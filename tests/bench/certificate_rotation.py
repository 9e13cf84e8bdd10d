"""Changes a server's certificate again and again while calls and streams go on; prints what failed as JSON.

    python tests/bench/certificate_rotation.py [--rotations 20] [--seconds 30] [--rate 100]

The load is three runs of `intently bench` over TLS: --rate calls a second, as many items on streams that stay open and
are never opened again, and a batch of eight for each ten of them; none of them retries anything. Beside them callers
that make a connection for each call see every certificate. The server's engine is in memory: what is measured is
connections, not answers. Every third change is preceded by a key that does not belong to its certificate, which must
harm nobody. Exits with 1 if anything failed, or a change was not seen.
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
from typing import Any

import trustme
import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.certificates import SERVER_NAME, ServerFiles, issue, replace, shown_serial, wait_shown
from support.in_memory_server import in_memory_server
from support.paths import BUNDLE
from support.release_load import Rates, ReleaseLoad
from support.rotation_load import RotationLoad

_MISMATCH_EVERY = 3
_STREAMS = 8
_CONNECTORS = 2
_SEEN_WITHIN_S = 10.0
_LOOKS_EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class Report:
    """What happened.

    Attributes:
        calls: Unary calls that were answered, over connections that stayed open and over new ones.
        connections: Those of them that made a connection of their own.
        batches: Batches that were answered.
        items: Answers on streams that stayed open.
        failures: What failed, was lost or answered twice.
        streams: Streams that were open all the time: an item on one that broke would have failed.
        rotations: Changes of the certificate.
        rotations_seen: Of how many a new connection was shown the new certificate.
        mismatches: Keys that did not belong to their certificate.
        errors_logged: By the server.
        seconds: How long it took.
        bench: What people read of each run of `intently bench`.
    """

    calls: int
    connections: int
    batches: int
    items: int
    failures: list[str]
    streams: int
    rotations: int
    rotations_seen: int
    mismatches: int
    errors_logged: list[str]
    seconds: float
    bench: dict[str, Any]

    @property
    def good(self) -> bool:
        """Whether nothing failed and everything was seen."""
        return not self.failures and not self.errors_logged and self.rotations == self.rotations_seen


@dataclass(frozen=True, slots=True)
class _Secured(Rates):
    """Rates of callers that verify the server, and that retry nothing: a stream that ends stays ended.

    Attributes:
        ca: File of the server's authority.
    """

    ca: Path = Path()

    def flags(self) -> dict[str, tuple[str, ...]]:
        """See `Rates.flags`."""
        tls = ("--ca", str(self.ca), "--server-name", SERVER_NAME)
        kinds = Rates.flags(self)
        return {
            kind: (
                *(flag for flag in flags if flag != "--retry"),
                *(("--raw-streams",) if kind == "item" else ()),
                *tls,
            )
            for kind, flags in kinds.items()
        }


async def rotate(folder: Path, options: argparse.Namespace) -> Report:
    """Serves, loads, and changes the certificate `rotations` times, spread over so many seconds."""
    authority, files, ca = trustme.CA(), ServerFiles(folder), folder / "authority.pem"
    files.write(issue(authority))
    ca.write_bytes(authority.cert_pem.bytes())
    flags = ("--tls-certificate", str(files.certificate), "--tls-key", str(files.key))
    started, rate = time.monotonic(), options.rate
    rates = _Secured(bare=rate, batches=rate / 10, items=rate, streams=_STREAMS, ca=ca)
    looks = ("--tls-reload-interval", str(_LOOKS_EVERY_S))
    with in_memory_server(folder, *flags, *looks, bundle=options.bundle) as server:
        watched, bench = RotationLoad(server.address, authority), ReleaseLoad(server.address, rates)
        async with watched.running(callers=0, connectors=_CONNECTORS, streams=0), bench.running():
            seen, mismatches = await _change(server.address, authority, files, watched, options)
        errors = server.errors_logged()
    answered = bench.answered
    return Report(
        calls=answered["bare"] + watched.answered["connection"],
        connections=watched.answered["connection"],
        batches=answered["batch"],
        items=answered["item"],
        failures=watched.failures + bench.failures,
        streams=_STREAMS,
        rotations=options.rotations,
        rotations_seen=seen,
        mismatches=mismatches,
        errors_logged=errors,
        seconds=round(time.monotonic() - started, 1),
        bench=bench.brief(),
    )


async def _change(
    address: str, authority: trustme.CA, files: ServerFiles, watched: RotationLoad, options: argparse.Namespace
) -> tuple[int, int]:
    """Changes the certificate as often as was asked. Returns how many changes were seen, and how many keys were bad."""
    seen = mismatches = 0
    for number in range(options.rotations):
        await asyncio.sleep(options.seconds / options.rotations)
        pair, before = issue(authority), await shown_serial(address, authority)
        if number % _MISMATCH_EVERY == 0:
            replace(files.key, pair.key)
            mismatches += 1
            await asyncio.sleep(5 * _LOOKS_EVERY_S)
            if await shown_serial(address, authority) != before:
                watched.failures.append("a pair that does not belong together was taken")
        files.write(pair)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(wait_shown(address, authority, pair.serial), _SEEN_WITHIN_S)
            seen += 1
    return seen, mismatches


def main() -> int:
    """Returns 0 if nothing failed, 1 otherwise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    parser.add_argument("--rotations", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=100.0, metavar="R", help="calls a second (default: %(default)g)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = uvloop.run(rotate(Path(folder), options))
    sys.stdout.write(f"{json.dumps({**asdict(report), 'good': report.good}, indent=2)}\n")
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())
