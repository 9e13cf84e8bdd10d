"""Verifies a bundle: finds any byte that is not what it was when the bundle was packaged, and what makes no sense."""

import os
from pathlib import Path

from intently_build.bundles.checkpoint import checkpoint_faults
from intently_build.bundles.fault import Fault
from intently_build.bundles.fields import field_faults
from intently_build.bundles.files import file_faults, present_faults
from intently_build.bundles.golden import probability_faults, token_faults
from intently_build.bundles.manifest import MANIFEST, read_manifest, write_seal
from intently_build.bundles.seal import SEAL, seal_fault
from intently_build.errors import BuildError


def verify(folder: Path, golden: bool = False) -> list[Fault]:
    """Returns all that is wrong with the bundle in `folder`; nothing in it is changed or run.

    Every byte is covered: those of the files by the manifest's checksums, those of the manifest by the seal, those of
    the seal by being all of it. Fields are checked too, so that a bundle which was wrong when sealed is found.

    Args:
      folder: the bundle's.
      golden: whether to recompute the golden vectors' probabilities by transformers, if all else is sound.

    Raises BuildError if there is no manifest in `folder`, or golden vectors cannot be recomputed here.
    """
    if not (folder / MANIFEST).is_file():
        raise BuildError(f"{folder}: no {MANIFEST} in it; is it a bundle?")
    broken = seal_fault(folder, MANIFEST)
    faults = [Fault(SEAL, broken)] if broken else []
    try:
        manifest = read_manifest(folder)
    except BuildError as error:
        reason = str(error).removeprefix(f"{folder / MANIFEST}: ")
        return [*faults, Fault(MANIFEST, reason), *present_faults(folder, None)]
    faults += file_faults(folder, manifest)
    faults += (Fault(MANIFEST, reason) for reason in field_faults(manifest))
    if not any(fault.file != SEAL for fault in faults):
        faults += checkpoint_faults(folder, manifest)
        faults += token_faults(folder, manifest)
    if golden and not faults:
        faults += probability_faults(folder, manifest)
    return faults


def seal(folder: Path) -> None:
    """Seals a bundle that lacks its seal and nothing else; leaves any other as it is."""
    if not os.path.lexists(folder / SEAL) and [fault.file for fault in verify(folder)] == [SEAL]:
        write_seal(folder)
