"""Runs a tool in its own process, says how far it is, and ends it whatever happens here."""

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from rich.console import Console

from intently_build.errors import BuildError

PACKAGES = Path(__file__).resolve().parents[2]  # where intently_build is imported from
STOP_SECONDS = 10.0
SHOWN = 100  # characters of the tool's last line
TAIL_BYTES = 4096
LEAST_BYTES = 1 << 20
DISK_FULL = "No space left on device"
WORKER = "intently_build.quantizing.worker"


class ToolJob(Protocol):
    """What a tool is told: `Job`, or what an exporter is told."""

    @property
    def form(self) -> str:
        """The format, for people."""

    @property
    def output(self) -> Path:
        """What the tool writes."""

    @property
    def scratch(self) -> Path:
        """A folder for what is needed on the way."""

    def write(self, path: Path) -> None:
        """Writes it for the tool's own process."""


def run_tool(python: Path, job: ToolJob, log: Path, console: Console, worker: str = WORKER) -> None:
    """Runs `job` with `python`, by the module `worker`; what the tool says goes to `log`.

    Raises BuildError with the last line of the log if the tool fails.
    """
    request = job.scratch / "job.json"
    job.write(request)
    command = [str(python), "-m", worker, str(request)]
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603  # our own worker
            command,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out,
            cwd=job.scratch,  # gptqmodel writes logs into the folder that it runs in
            env=_variables(job),
            start_new_session=True,
        )
    try:
        with console.status(f"{job.form}: starting") as status:
            while process.poll() is None:
                status.update(f"{job.form}: {last_line(log)[:SHOWN]}")
                time.sleep(0.2)
    finally:
        _stop(process)
    if process.returncode:
        said = log.read_text(errors="replace")
        if DISK_FULL in said or shutil.disk_usage(job.scratch).free < LEAST_BYTES:  # then the log is cut short too
            raise BuildError(f"{log.parent}: the disk is full; nothing was written")
        raise BuildError(
            f"{job.form}: the tool ended with exit code {process.returncode}: {last_line(log)} (see {log})"
        )


def last_line(log: Path) -> str:
    """Returns the last line of a log that says anything; a progress bar's last state counts as one."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        lines = file.read().decode(errors="replace").replace("\r", "\n").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "no word of it yet")


def _variables(job: ToolJob) -> dict[str, str]:
    """The tools read these when they are imported. Nothing is fetched: a checkpoint is a folder."""
    path = os.pathsep.join([str(PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | {
        "PYTHONPATH": path,
        "PYTHONHASHSEED": "0",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "GPTQMODEL_CPU_WORKERS": "2",  # with fewer cores gptqmodel's own count is too low for its loader
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # the same sums in the same order on CUDA
        "TMPDIR": str(job.scratch),
    }


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.stdin:
        process.stdin.close()  # the worker ends when this is closed
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # a compiler that the tool started
