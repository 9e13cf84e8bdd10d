"""Whether an adapter means a base by the name that it gives: a hub's, a path elsewhere, or a folder of a hub's cache.

An adapter that was trained elsewhere states no digest of its base, and others of the same shapes fit it as well: the
name is all that tells them apart. Only its last part counts, since the same model lies in another folder everywhere.
"""

import re
from pathlib import PurePosixPath, PureWindowsPath

from intently_build.adapting.adapter import AdapterFiles
from intently_build.adapting.checkpoint import Checkpoint

_CACHED = re.compile(r"models--.+--(?P<name>[^/]+)/snapshots/(?P<commit>[^/]+)/?$")  # of Hugging Face's hub
_COMMIT = re.compile(r"[0-9a-f]{40}")
_DOT = "___"  # what ModelScope's cache writes in place of one


def names_base(adapter: AdapterFiles, base: Checkpoint) -> bool:
    """Whether the adapter names this base, or none at all.

    Compared are the last parts of names, without case: of what the adapter says with those of the base's folder, as
    it is given and where it leads, of its place in a hub's cache, and of the name in its config. If both are of known
    commits, these must be the same.
    """
    named = str(adapter.config.get("base_model_name_or_path") or "")
    if not named:
        return True
    folders = [base.folder.absolute().as_posix(), base.folder.resolve().as_posix()]
    names = {_last(folder) for folder in (*folders, str(base.config.get("_name_or_path") or ""))}
    wanted = {_commit(named), str(adapter.config.get("revision") or "")}
    known = [{each for each in some if _COMMIT.fullmatch(each)} for some in (wanted, map(_commit, folders))]
    return _last(named) in names and (not all(known) or bool(known[0] & known[1]))


def _last(name: str) -> str:
    cached = _CACHED.search(name)
    last = cached["name"] if cached else PurePosixPath(PureWindowsPath(name).as_posix()).name
    return last.replace(_DOT, ".").casefold()


def _commit(name: str) -> str:
    cached = _CACHED.search(name)
    return cached["commit"] if cached else ""
