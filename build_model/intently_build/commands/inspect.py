"""The command `intently-build inspect`."""

import argparse
from pathlib import Path

from intently_build.commands.parser import Commands


def add(commands: Commands) -> None:
    """Adds it."""
    about = "Prints a page about a bundle: labels, prompt, calibration, weights, evaluations, origin and files."
    parser = commands.add_parser(
        "inspect", help=about, description=f"{about} It believes the manifest; verify says whether that is right."
    )
    parser.add_argument("bundle", type=Path, help="folder of the bundle")
    parser.add_argument("--json", action="store_true", help="print the manifest and what was computed as JSON")
    parser.set_defaults(command=_run)


def _run(parsed: argparse.Namespace) -> None:
    import json

    from intently_build.bundles.facts import bundle_facts
    from intently_build.bundles.manifest import read_manifest
    from intently_build.bundles.page import page_json, print_page
    from intently_build.wide_console import table_console

    manifest = read_manifest(parsed.bundle)
    facts = bundle_facts(parsed.bundle, manifest)
    if parsed.json:
        print(json.dumps(page_json(manifest, facts), ensure_ascii=False, indent=2))  # noqa: T201  # to be piped
    else:
        print_page(manifest, facts, table_console())
