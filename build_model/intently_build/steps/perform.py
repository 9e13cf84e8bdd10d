"""Performs steps in order, and leaves out one whose result is there already."""

import json
import shutil
import time
from contextlib import nullcontext
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from intently_build.errors import BuildError
from intently_build.steps.digests import Digests
from intently_build.steps.disk import disk_errors
from intently_build.steps.journal import Journal
from intently_build.steps.step import RECORD, Record, Step, read_record


class Performer:
    """Performs the steps of one run, one after the other, each from the results of those before it."""

    def __init__(self, journal: Journal, digests: Digests, total: int) -> None:
        self._journal = journal
        self._digests = digests
        self._total = total
        self._number = 0

    def perform(self, step: Step) -> Record:
        """Performs the next step, unless its result is there, whole, unchanged, made of the same by the same version.

        A result is put in place in one rename, and its record is written last. Returns the record.

        Raises BuildError for what the user can mend, a full disk among it.
        """
        self._number += 1
        title = f"[{self._number}/{self._total}] {step.name}"
        identity = identity_of(step, self._digests)
        found = read_record(step.record_file)
        stale = _why_stale(step, found, identity, self._digests)
        if found and stale is None:
            self._journal.say(f"{title}: done before")
            return found
        self._journal.say(f"{title}: {stale}")
        with nullcontext() if step.shows_progress else self._journal.console.status(title):
            record = _make(step, identity, self._journal, self._digests)
        self._journal.say(f"{title}: done in {record.seconds:.1f} s")
        self._journal.note(f"{step.name}: proof {json.dumps(record.proof, sort_keys=True)}")
        return record


def identity_of(step: Step, digests: Digests) -> dict[str, Any]:
    """Returns what the result of `step` depends on: digests of the inputs, settings, version. Raises BuildError."""
    inputs = {name: digests.of(path, leave_out=(RECORD,)) for name, path in step.inputs.items()}
    # By way of JSON, as a record that is read again is.
    return dict(json.loads(json.dumps({"inputs": inputs, "settings": dict(step.settings), "version": step.version})))


def partial_folder(folder: Path) -> Path:
    """Returns where a result is written until it is whole."""
    return folder.parent / f".{folder.name}.partial"


def put_in_place(partial: Path, folder: Path) -> None:
    """Renames a whole result to where it belongs; what stood there goes, or stays if that fails or is interrupted."""
    old = folder.parent / f".{folder.name}.old"
    shutil.rmtree(old, ignore_errors=True)
    try:
        if folder.exists():
            folder.rename(old)
        partial.rename(folder)
    except BaseException:
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _why_stale(step: Step, found: Record | None, identity: dict[str, Any], digests: Digests) -> str | None:
    """Returns why the step must be made, or None if it need not be."""
    if found is None or not found.identity or not step.folder.is_dir():
        return "begins"
    if found.identity.get("version", 1) != identity["version"]:
        return "made anew, since another version of this command made it"
    changed = [key for key in ("inputs", "settings") if found.identity.get(key) != identity[key]]
    if changed:
        return f"made anew, since its {' and '.join(changed)} changed"
    intact = found.outputs == _outputs(step, step.folder, digests)
    return None if intact else "made anew, since its result was changed or damaged"


def _make(step: Step, identity: dict[str, Any], journal: Journal, digests: Digests) -> Record:
    partial = partial_folder(step.folder)
    try:
        with disk_errors(step.folder):  # inside, so that it sees how full the disk was
            return _write(step, partial, identity, journal, digests)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _write(step: Step, partial: Path, identity: dict[str, Any], journal: Journal, digests: Digests) -> Record:
    started = time.monotonic()
    shutil.rmtree(partial, ignore_errors=True)
    if step.record:  # stands apart from the result, and must not outlive it
        _write_apart(step.record_file, Record(step.name, {}, {}, place=step.place))
    partial.mkdir(parents=True)
    proof = step.make(partial, journal)
    outputs = _outputs(step, partial, digests)
    seconds = round(time.monotonic() - started, 3)
    record = Record(step.name, identity, outputs, _versions(step), proof, seconds, step.place)
    if step.record is None:
        (partial / RECORD).write_text(record.to_json(), encoding="utf-8")
    put_in_place(partial, step.folder)
    if step.record:
        _write_apart(step.record_file, record)
    return record


def _outputs(step: Step, folder: Path, digests: Digests) -> dict[str, str]:
    """Returns the digest of each file of the result, and none for those that others may change."""
    return dict.fromkeys((name for name in step.changing if (folder / name).exists()), "") | digests.files(
        folder, (RECORD, *step.changing)
    )


def _write_apart(path: Path, record: Record) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.partial")
    try:
        beside.write_text(record.to_json(), encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _versions(step: Step) -> dict[str, str]:
    try:
        return {name: version(name) for name in step.tools}
    except PackageNotFoundError as error:
        raise BuildError(f"{step.name}: {error.name} is not installed here; `make build-env` installs it") from error
