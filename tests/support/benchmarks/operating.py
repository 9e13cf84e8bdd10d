"""Studies of servers rather than answers: how soon one serves, where its time goes, and two on two GPUs."""

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from support.benchmarks.load import duration, processes
from support.benchmarks.world import World, environment
from support.load import Load
from support.seven_b.serving import telling_lines, time_steps

STARTS = 2
SERVING = "to SERVING"
PROFILED_AT = 128  # calls at once
BATCHES = (1, 16, 64, 256)  # prompts of a step
_RATE_HZ = 200
_TOP = 40
_PROFILE_S = 60.0  # beside the time that is sampled


def warm_starts(world: World) -> None:
    """How long a server takes to SERVING where vLLM's cache of compiled code is warm, and the model's files too."""
    name = f"server {world.bundle().path.name}"
    world.server()
    for number in range(1, STARTS + 1):
        world.end("envoy", name)
        began = time.monotonic()
        server = world.server_process()
        log = server.log.read_text(errors="replace")
        world.record.note(**{f"{SERVING} {number}": round(time.monotonic() - began, 2)})
        world.record.note(**{f"log {number}": [*telling_lines(log), *_own_lines(log)]})


def steps(world: World) -> None:
    """What one step of the engine takes, by the prompts in it, and in which kernels: vLLM alone, in one process."""
    bundle = world.bundle().path
    settings = {name: _value(value) for name, value in world.asked.settings.items() if name != "front_ends"}
    world.record.note(steps=time_steps(bundle, [*BATCHES], settings))


def profiles(world: World) -> None:
    """Where the processor time of the server and of its engine goes, under load, by py-spy's samples.

    Raises:
        RuntimeError: if there is no py-spy, or it cannot look into the server.
    """
    if world.asked.profiler is None:
        raise RuntimeError("py-spy is missing: --py-spy PATH")
    server = world.server_process()
    flags = ("--concurrency", str(PROFILED_AT), *processes(world, PROFILED_AT))
    load = Load(server.address, None, flags)
    load.wait_begun()
    tree = [psutil.Process(server.process.pid), *server.descendants()]
    before = {process.pid: sum(process.cpu_times()[:2]) for process in tree}
    began = time.monotonic()
    try:
        for process in tree:
            if before[process.pid] > 1.0:  # not those that only wait
                sampled = _sampled(world.asked.profiler, process.pid, 2 * world.asked.seconds, world.asked.work)
                world.record.note(**{_title(process): sampled})
        seconds = time.monotonic() - began
        used = {_title(each): round((sum(each.cpu_times()[:2]) - before[each.pid]) / seconds, 3) for each in tree}
        world.record.note(cores_used=used)
    finally:
        load.stop()
        world.record.note(load=load.result().brief())


def two_gpus(world: World) -> None:
    """Two servers, each on a GPU of its own, behind one Envoy, in turn with one of them behind another."""
    with environment(CUDA_VISIBLE_DEVICES="0"):
        first = world.server()
    with environment(CUDA_VISIBLE_DEVICES="1"):
        second = world.server(settings={"address": "127.0.0.1:0"})  # the same: it is named by the change
    roles = {"two": world.envoy(first, second), "one": world.envoy(first)}
    many = processes(world, world.asked.processes)
    search = ("--slo", world.asked.slo, "--precision", "3%", "--confirmations", "1")
    world.bench("rate", roles, *search, *duration(world), *many)
    for name, target in roles.items():
        steps = ",".join(str(2 * each) for each in world.asked.concurrencies)
        world.bench(f"loops {name}", {name: target}, "--ramp-concurrency", steps, *duration(world), *many)


def _sampled(profiler: str, pid: int, seconds: float, work: Path) -> dict[str, Any]:
    """The functions that were running in most samples, each with its share of them."""
    raw = work / f"samples-{pid}.txt"
    command = [profiler, "record", "--pid", str(pid), "--format", "raw", "--output", str(raw), "--rate", str(_RATE_HZ)]
    command += ["--duration", str(max(1, round(seconds))), "--nonblocking"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_PROFILE_S + seconds, check=False)
    if not raw.exists():
        raise RuntimeError(done.stderr[-1000:])
    own: Counter[str] = Counter()
    within: Counter[str] = Counter()
    for line in raw.read_text(encoding="utf-8").splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        own[frames[-1]] += int(count)
        for frame in dict.fromkeys(frames):
            within[frame] += int(count)
    total = max(1, sum(own.values()))

    def top(counts: Counter[str]) -> dict[str, float]:
        return {frame: round(count / total, 4) for frame, count in counts.most_common(_TOP)}

    return {"samples": total, "own": top(own), "within": top(within)}


def _title(process: psutil.Process) -> str:
    """What it is, without its paths."""
    name = " ".join([process.name(), *process.cmdline()[:1]])
    return f"{process.pid} {name.replace(str(Path(sys.executable).parent), '')}"[:60]


def _own_lines(log: str) -> list[str]:
    """The lines that our server wrote of its start."""
    return [line[:300] for line in log.splitlines() if "intently" in line][:_TOP]


def _value(text: str) -> Any:
    """A setting as vLLM's configuration takes it."""
    if text in {"true", "false"}:
        return text == "true"
    try:
        return int(text)
    except ValueError:
        return float(text)
