"""What vLLM does with a bundle: alone, step by step, and behind our server, under load; and what was planned for it."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from intently_build.cli import main as intently_build
from support.load import generate
from support.server_process import running_server
from support.seven_b.gpu_memory import memory_of

_TESTS = Path(__file__).parents[2]
ENGINE_S, MOST_CALLS_A_PROCESS = 300, 64
_TELLING = re.compile(
    r"(?:Using|Selected) \S+ .*|.*KV cache (?:size|memory).*|Model loading took.*|.*torch\.compile .*|Graph capturing.*"
    r"|.*[Ee]ngine \(profile.*"
)
_PREFIX = re.compile(r"^.*?\[[\w./]+\.py:\d+\]\s*")


def time_steps(bundle: Path, batches: list[int], settings: dict[str, Any]) -> dict[str, Any]:
    """Runs `engine_steps` on the bundle. Raises RuntimeError with the end of its log if it fails."""
    command = [sys.executable, "-m", "support.seven_b.engine_steps", str(bundle)]
    asked = json.dumps(settings | {"batches": batches})
    path = os.pathsep.join([str(_TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    with tempfile.TemporaryFile("w+") as log:
        done = subprocess.run(
            [*command, asked],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            timeout=ENGINE_S,
            env=os.environ | {"PYTHONPATH": path},
            check=False,
        )
        log.seek(0)
        said = log.read()
    if done.returncode:
        raise RuntimeError(f"the engine ended with {done.returncode}: {said[-3000:]}")
    lines = done.stdout.splitlines()
    found: dict[str, Any] = json.loads(lines[-1])
    return found | {"log": telling_lines("\n".join([said, *lines[:-1]]))}


def load_server(bundle: Path, concurrencies: list[int], seconds: float, flags: tuple[str, ...]) -> dict[str, Any]:
    """Serves the bundle and loads it by `intently bench`, in closed loops; `gpu_mib` is the server's own memory."""
    with tempfile.TemporaryDirectory() as folder, running_server(bundle, Path(folder), *flags) as server:
        runs = {}
        for concurrency in concurrencies:
            processes = max(1, concurrency // MOST_CALLS_A_PROCESS)
            common = ("--concurrency", str(concurrency), "--processes", str(processes), "--timeout", "10s")
            runs[str(concurrency)] = generate(server.address, seconds, *common, "--warm-up", "1s").brief()
        memory = memory_of({server.process.pid, *(each.pid for each in server.descendants())})
        return {"closed_loop": runs, "gpu_mib": memory, "log": telling_lines(server.log.read_text(errors="replace"))}


def telling_lines(log: str) -> list[str]:
    """The lines of a log that name kernels, memory or compilation, each once."""
    found: dict[str, None] = {}
    for line in log.splitlines():
        text = _PREFIX.sub("", line.strip())
        if match := _TELLING.search(text):
            found[match.group()[:300]] = None
    return list(found)


def planned(bundle: Path, form: str, tokens: int, chunk_tokens: int, prefix_tokens: int) -> dict[str, Any]:
    """What `intently-build plan` computes of it for an H200."""
    load = ["--tokens", str(tokens), "--prefix-tokens", str(prefix_tokens), "--chunk-tokens", str(chunk_tokens)]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        intently_build(["plan", str(bundle), "--format", form, "--gpu", "h200", *load, "--json"])
    plan = json.loads(out.getvalue())
    return {"fits": plan["fits"], "formats": plan["formats"], "load": plan["load"]}
