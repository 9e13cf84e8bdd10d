"""Tells how much more memory our server takes than a bare AsyncLLM script with the same settings.

    python tests/bench/memory.py [--bundle PATH] [--calls 3000] [--set NAME=VALUE …]

One after the other is started, answers so many calls, and is looked at with all of its processes. Prints JSON, in MiB:
`rss` counts pages that processes share once for each, `pss` shares them out; exits with 1 if our server's is more than
250 MB over the script's by either.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.engine_settings import as_flags
from support.load import generate
from support.paths import BUNDLE, ROOT
from support.server_process import running_server

MOST_MIB = 250e6 / 2**20
_START_S = 600.0
_SMALL = ["enforce_eager=true", "kv_cache_gib=1"]  # as `running_server` starts ours


def main() -> int:
    """Runs it; returns the exit code."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        ours, bare = _ours(options, Path(folder)), _bare(options, Path(folder))
    more = {kind: round(ours["all"][kind] - bare["all"][kind], 1) for kind in ("rss", "pss")}
    good = all(each <= MOST_MIB for each in more.values())
    told = {"bundle": options.bundle.name, "settings": _SMALL + options.set, "server": ours, "bare": bare, "more": more}
    sys.stdout.write(json.dumps({**told, "good": good}, indent=1) + "\n")
    return 0 if good else 1


def _ours(options: argparse.Namespace, folder: Path) -> dict[str, dict[str, float]]:
    settings = dict(each.split("=", 1) for each in options.set)
    with running_server(options.bundle, folder, *as_flags(settings)) as server:
        measured = generate(server.address, 600.0, "--requests", str(options.calls), "--concurrency", "16")
        if measured.by_status != {"OK": options.calls}:
            raise RuntimeError(f"not all was answered: {measured.by_status}")
        return _memory(server.process.pid)


def _bare(options: argparse.Namespace, folder: Path) -> dict[str, dict[str, float]]:
    ready, log = folder / "bare.ready", folder / "bare.log"
    command = [sys.executable, "-m", "support.bare_process", str(options.bundle), str(ready), *_SMALL, *options.set]
    path = os.pathsep.join(filter(None, (str(ROOT / "tests"), os.environ.get("PYTHONPATH"))))
    pipe, environment = subprocess.PIPE, {**os.environ, "PYTHONPATH": path}
    with (
        log.open("wb") as errors,
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=errors, text=True, env=environment) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        give_up = time.monotonic() + _START_S
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(log.read_text(errors="replace")[-4000:])
            time.sleep(0.1)
        process.stdin.write(f"{options.calls}\n")
        process.stdin.flush()
        if "done" not in iter(lambda: process.stdout.readline().strip(), ""):  # type: ignore[union-attr]  # see above
            raise RuntimeError(log.read_text(errors="replace")[-4000:])
        found = _memory(process.pid)
        process.stdin.close()
    return found


def _memory(pid: int) -> dict[str, dict[str, float]]:
    """Of each process of the tree, and of all, in MiB."""
    told: dict[str, dict[str, float]] = {}
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        memory = process.memory_full_info()
        name = f"{process.pid} {' '.join([process.name(), *process.cmdline()])[:60]}"
        told[name] = {"rss": round(memory.rss / 2**20, 1), "pss": round(memory.pss / 2**20, 1)}
    return told | {"all": {kind: round(sum(each[kind] for each in told.values()), 1) for kind in ("rss", "pss")}}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    parser.add_argument("--calls", type=int, default=3000, help="before the look (default: %(default)s)")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of the server, for both")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
