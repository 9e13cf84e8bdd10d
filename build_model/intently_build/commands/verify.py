"""The command `intently-build verify`."""

import argparse
import sys
from pathlib import Path

from intently_build.commands.parser import Commands
from intently_build.errors import BuildError


def add(commands: Commands) -> None:
    """Adds it."""
    about = "Finds any flipped byte of bundles, and what in them makes no sense; a line for each fault."
    parser = commands.add_parser(
        "verify",
        help=about,
        description=f"{about} Ends with 0 if all are sound, 1 if one has a fault, 2 if one is no bundle.",
    )
    parser.add_argument("bundles", type=Path, nargs="+", metavar="bundle", help="folder of a bundle")
    parser.add_argument(
        "--golden",
        action="store_true",
        help="also recompute the golden vectors' probabilities by transformers in float32",
    )
    parser.add_argument(
        "--seal",
        action="store_true",
        help="first write the checksum of the manifest itself where it is missing and all else is sound",
    )
    parser.set_defaults(command=_run)


def _run(parsed: argparse.Namespace) -> int:
    return max(_verify(bundle, parsed.golden, parsed.seal) for bundle in parsed.bundles)


def _verify(bundle: Path, golden: bool, sealing: bool) -> int:
    """Says what is wrong with one bundle. Returns the exit code that it alone would give."""
    from intently_build.bundles.fault import one_line
    from intently_build.bundles.manifest import read_manifest
    from intently_build.bundles.verify import seal, verify

    try:
        if sealing:
            seal(bundle)
        faults = verify(bundle, golden)
    except BuildError as error:
        print(f"intently-build: {one_line(str(error))}", file=sys.stderr)  # noqa: T201  # the command line's own voice
        return 2
    for fault in faults:
        print(f"{one_line(str(bundle))}: {fault}")  # noqa: T201
    if not faults:
        manifest = read_manifest(bundle)
        checked = f"{len(manifest.files)} files, {len(manifest.golden_vectors)} golden vectors"
        how = "recomputed" if golden else "token ids recomputed"
        print(f"{bundle}: sound: {checked} ({how}), revision {manifest.revision[:12]}")  # noqa: T201
    return 1 if faults else 0
