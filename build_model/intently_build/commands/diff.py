"""The command `intently-build diff`."""

import argparse
from pathlib import Path

from intently_build.commands.parser import Commands


def add(commands: Commands) -> None:
    """Adds it."""
    about = "Says what differs between two bundles: labels, prompt, calibration, weights, evaluations, sizes."
    parser = commands.add_parser(
        "diff",
        help=about,
        description=f"{about} It goes by their manifests. Ends with 0 if nothing differs, 1 if something does, 2 on "
        "trouble.",
    )
    parser.add_argument("before", type=Path, help="folder of a bundle")
    parser.add_argument("after", type=Path, help="folder of another")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.set_defaults(command=_run)


def _run(parsed: argparse.Namespace) -> int:
    import json

    from intently_build.bundles.diff import compare
    from intently_build.bundles.diff_page import diff_json, print_diff
    from intently_build.bundles.manifest import read_manifest
    from intently_build.wide_console import table_console

    difference = compare(read_manifest(parsed.before), read_manifest(parsed.after))
    if parsed.json:
        print(json.dumps(diff_json(difference), ensure_ascii=False, indent=2))  # noqa: T201  # to be piped
    else:
        print_diff(difference, table_console())
    return 0 if difference.same else 1
