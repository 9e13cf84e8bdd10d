"""The study of a release: two engines on one GPU, what the second costs the first, and a deploy under load."""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import yaml

from support.benchmarks.load import duration, processes
from support.benchmarks.world import World
from support.bundles import changed
from support.engine_settings import as_flags
from support.load import Load
from support.release_stack import Stack, wait_serving
from support.serving import free_ports

PERCENT = 5
_TIMES = 4.0  # of a measurement: the 99th percentile of one color alone needs more calls
_RELEASING = {
    "steps": [PERCENT, 50, 100],
    "dwell": 4.0,
    "bake": 2.0,
    "poll": 0.2,
    "patience": 60.0,
    "thresholds": {"p99_least_ms": 100},  # a canary's first calls are few, and both engines share the GPU
}
_NUMBERS = "--format=csv,noheader,nounits"
_SERVER = re.compile("intently[-_]server")


def blue_green(world: World) -> None:
    """One engine alone, a deploy under load, then the old color warm at 0 % and at 5 %, and alone again."""
    world.end()
    bundle = world.bundle().path
    another = world.asked.work / "another"
    _hard_linked(bundle, another)
    with _up(world, bundle) as made:
        _measure(world, made, "alone")
        world.record.note(memory_of_one=_memory(made))
        _deploy(world, made, another)
        world.record.note(memory_of_both=_memory(made))
        _measure(world, made, "other warm at 0 %")
        _must(made, "shift", str(PERCENT))
        _measure(world, made, f"other at {PERCENT} %")
        _must(made, "shift", "0")
        _must(made, "drain")
        _measure(world, made, "alone again")


def _hard_linked(bundle: Path, another: Path) -> None:
    """A bundle of another revision with the same weights, which takes no room."""
    shutil.rmtree(another, ignore_errors=True)
    shutil.copytree(bundle, another, copy_function=os.link)
    manifest = another / "bundle.json"
    content = manifest.read_bytes()
    manifest.unlink()  # or the first bundle's would change too
    manifest.write_bytes(content)
    changed(another)


@contextlib.contextmanager
def _up(world: World, bundle: Path) -> Iterator[Stack]:
    with tempfile.TemporaryDirectory(prefix="ir-", dir="/tmp") as name:
        folder = Path(name)
        settings = dict(world.asked.settings)
        front_ends = int(settings.pop("front_ends", 1))  # for Envoy to know of, too
        ports = free_ports(2 + 2 * (1 + front_ends))
        address, metrics, *endpoints = (
            f"127.0.0.1:{port}" for port in (ports, ports + 1, ports + 2, ports + 3 + front_ends)
        )
        flags = [*as_flags(settings), "--admin-address", ""]
        document = {
            "run_dir": str(folder / "run"),
            "metrics": metrics,
            "listener": {"address": address},
            "colors": {color: {"endpoints": [each]} for color, each in zip(("blue", "green"), endpoints, strict=True)},
            "servers": {"command": ["intently-server"], "flags": flags, "front_ends": front_ends},
            "releasing": _RELEASING,
        }
        (folder / "release.yaml").write_text(yaml.safe_dump(document))
        made = Stack(folder, address, folder / "release.yaml", {**os.environ, "MALLOC_ARENA_MAX": "1"})
        process = made.start("up", "--bundle", str(bundle))
        try:
            began = time.monotonic()
            wait_serving(process, made)
            world.record.note(up_s=round(time.monotonic() - began, 1))
            yield made
        finally:
            _end(process, made)


def _end(process: "subprocess.Popen[str]", made: Stack) -> None:
    """Ends all of it at once: in order, its servers would drain for seconds. Their engines end with them."""
    process.kill()
    process.communicate()
    while left := made.processes():
        for each in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        time.sleep(0.05)


def _deploy(world: World, made: Stack, bundle: Path) -> None:
    """Deploys it, with calls all the while that nobody tries again."""
    flags = ("--rate", f"{world.asked.rate:g}", "--timeout", "10s", *processes(world, world.asked.processes))
    load = Load(made.address, None, flags)
    try:
        load.wait_begun()
        began = time.monotonic()
        done = made.run("deploy", str(bundle))
        seconds = time.monotonic() - began
    finally:
        load.stop()
    measured = load.result()
    told: dict[str, Any] = {"code": done.code, "seconds": round(seconds, 1), "phases_s": done.phases()}
    told |= {"failures": measured.failures, "calls": measured.sent, "load": measured.brief()}
    world.record.note(deploy=told)
    if done.code:
        raise RuntimeError(f"not promoted: {done.end or done.errors[-1000:]}")


def _measure(world: World, made: Stack, name: str) -> None:
    flags = ("--rate", f"{world.asked.rate:g}", *duration(world, _TIMES), *processes(world, world.asked.processes))
    world.bench(name, {"envoy": made.address}, *flags)


def _memory(made: Stack) -> list[dict[str, Any]]:
    """MiB of each of the release's processes: of the host's memory, and of the GPU's, as nvidia-smi tells it."""
    rows = [line.split(",") for line in _asked_of_gpu("--query-compute-apps=pid,used_memory") if "," in line]
    gpu = {int(pid): int(used) for pid, used in rows if used.strip().isdecimal()}
    found = []
    servers = [each for each in made.processes() if _SERVER.search(" ".join(each.cmdline()))]
    for process in {
        each.pid: each for server in servers for each in (server, *server.children(recursive=True))
    }.values():
        with contextlib.suppress(psutil.NoSuchProcess):
            rss = round(process.memory_info().rss / 2**20)
            found.append({"process": process.name(), "rss_mib": rss, "gpu_mib": gpu.get(process.pid)})
    used = sum(int(line) for line in _asked_of_gpu("--query-gpu=memory.used") if line.strip().isdecimal())
    return [*found, {"process": "all on the GPU", "rss_mib": None, "gpu_mib": used or None}]


def _asked_of_gpu(query: str) -> list[str]:
    """Rows of nvidia-smi's answer; none where there is no GPU."""
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", query, _NUMBERS]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout.splitlines()


def _must(made: Stack, *arguments: str) -> None:
    done = made.run(*arguments)
    if done.code:
        raise RuntimeError(f"{' '.join(arguments)}: {done.errors[-500:]}")
