"""A bundle whose answers are known to differ from those of the one it is made of: two intents have swapped names."""

import json
from pathlib import Path

from support.bundles import Manifest, copy_bundle, edit_config, edit_manifest, read_manifest
from support.paths import BUNDLE
from support.release_stack import Stack

_FIRST, _SECOND = (golden.intent for golden in read_manifest(BUNDLE).golden_vectors[:2])
SWAPPED = {_FIRST: _SECOND, _SECOND: _FIRST}
"""What each of the two is called there."""


def swapping_bundle(made: Stack, name: str) -> Path:
    """Makes it in a folder of this name. Its golden vectors are right."""

    def swap(manifest: Manifest) -> None:
        for intent in manifest.label_set.intents:
            intent.name = SWAPPED.get(intent.name, intent.name)
        for golden in manifest.golden_vectors:
            golden.intent = SWAPPED.get(golden.intent, golden.intent)
        manifest.label_set.version += "-swapped"

    target = copy_bundle(BUNDLE, made.folder / name)
    rows = json.loads((target / "config.json").read_text())["id2label"]
    named = {row: SWAPPED.get(label, label) for row, label in rows.items()}
    edit_config(target, id2label=named, label2id={label: int(row) for row, label in named.items()})
    edit_manifest(target, swap)
    return target
