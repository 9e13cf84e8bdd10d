"""The command `intently bench`, which sends the load, and what it measured."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intently_build.errors import BuildError
from intently_build.tuning.candidate import Found
from intently_build.tuning.target import Slo

LAST_LINES = 3

_LIMITED = 3  # its exit code where it was itself the limit
_END_SECONDS = 20.0
_WARM_UP_SECONDS = 1.0
_REFUSED = "RESOURCE_EXHAUSTED"
_FEW = 0.1  # of what may be late may have failed, where the percentile of the others is kept


@dataclass(frozen=True)
class Load:
    """What is sent, and how it is judged.

    Attributes:
      slo: the latency to be kept.
      utterances: the file of what is said.
      precision: to which a rate is searched, as a share of it.
      seconds: that a rate is measured at least.
      processes: of the generator.
      allow_limited: whether to go on where the generator was the limit.
    """

    slo: Slo
    utterances: Path
    precision: float
    seconds: float
    processes: int
    allow_limited: bool


@dataclass(frozen=True)
class Step:
    """One rate that was measured.

    Attributes:
      rate: calls a second that were asked for.
      percentile_s: the percentile of the latency of those that were answered, in seconds.
      mean_s: the mean of it.
      goodput: calls answered a second.
      sent: calls.
      refused: of them, for want of room.
      failed: of them, for another reason.
    """

    rate: float
    percentile_s: float
    mean_s: float
    goodput: float
    sent: int
    refused: int
    failed: int

    def keeps(self, slo: Slo) -> bool:
        """Whether the latency was kept, with next to no failures."""
        bad = self.refused + self.failed
        return self.goodput > 0 and self.percentile_s <= slo.limit_s and bad <= _FEW * slo.allowed * self.sent


class Bench:
    """Runs the command, one measurement after the other.

    Args:
      load: what is sent.
      folder: for its reports, each written over by the next.
    """

    def __init__(self, load: Load, folder: Path) -> None:
        self._load = load
        self._report = folder / "bench.json"

    def search(self, address: str, first: float | None) -> Found | None:
        """Returns the highest rate at which the latency is kept, or None if there is none.

        Begins with `first`, or near what a closed loop is answered.
        """
        load = self._load
        begin = () if first is None else ("--rate", f"{first:.6g}")
        report = self._run(
            address,
            *("--slo", load.slo.text, "--precision", f"{load.precision:g}", "--confirmations", "1", *begin),
            *("--duration", f"{load.seconds:g}s"),
        )
        [found] = report.get("found") or [{}]
        if not found.get("rate"):
            return None
        runs = [_step(run, load.slo) for run in report["runs"] if run["rate"] == found["rate"]]
        return Found(
            rate=found["rate"],
            failed_above=found["failed_above"],
            percentile_s=max(run.percentile_s for run in runs),
            mean_s=sum(run.mean_s for run in runs) / len(runs),
            goodput=sum(run.goodput for run in runs) / len(runs),
        )

    def at(self, address: str, *rates: float) -> list[Step]:
        """Measures rates, one after the other, each for twice as long as it takes to judge the first."""
        slo = self._load.slo
        seconds = max(self._load.seconds, 2 * slo.least_calls / rates[0])
        load = (
            ("--ramp", ",".join(f"{rate:.6g}" for rate in rates)) if len(rates) > 1 else ("--rate", f"{rates[0]:.6g}")
        )
        report = self._run(address, *load, "--duration", f"{seconds:.3f}s")
        runs = report.get("runs", [{**report, "rate": rates[0]}])
        return [_step(run, slo) for run in runs]

    def _run(self, address: str, *arguments: str) -> dict[str, Any]:
        """Returns the report. Raises BuildError if there is none, or if the generator was the limit."""
        load = self._load
        self._report.unlink(missing_ok=True)
        warm_up = f"{min(_WARM_UP_SECONDS, load.seconds):g}s"
        command = [*_program(), "bench", "--address", address, *arguments, "--warm-up", warm_up]
        command += ["--utterances", str(load.utterances), "--processes", str(load.processes)]
        command += ["--json", str(self._report), "--progress", "off", *(["--allow-limited"] * load.allow_limited)]
        code, said = _call(command)
        if code == _LIMITED:
            limits = "; ".join(json.loads(self._report.read_text(encoding="utf-8"))["limits"])
            raise BuildError(f"intently bench was itself the limit: {limits} (or --allow-limited)")
        if not self._report.exists():
            last = " / ".join(said.strip().splitlines()[-LAST_LINES:]) or "it said nothing"
            raise BuildError(f"intently bench ended with exit code {code}: {last}")
        report: dict[str, Any] = json.loads(self._report.read_text(encoding="utf-8"))
        return report


def _call(command: Sequence[str]) -> tuple[int, str]:
    """Returns the exit code of a command and what it said on stderr. Interrupted, ends it with its processes."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            said = process.communicate()[1]
        except BaseException:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            raise
    return process.returncode, said


def _program() -> list[str]:
    beside = Path(sys.executable).with_name("intently")
    found = str(beside) if beside.exists() else shutil.which("intently")
    if found is None:
        raise BuildError("intently is not installed here: install the extra bench")
    return [found]


def _step(run: dict[str, Any], slo: Slo) -> Step:
    total = run["total"]
    items = {"": 0, _REFUSED: 0}
    for each in total["by_status"]:
        status = each["status"] if each["status"] in ("OK", _REFUSED) else ""
        items[status] = items.get(status, 0) + each["utterances"]
    return Step(
        rate=run["rate"],
        percentile_s=total["latency"][f"p{slo.percent}"],
        mean_s=total["latency"]["mean"],
        goodput=run["answered_per_s"],
        sent=total["sent"] + run["unsent"],
        refused=items[_REFUSED],
        failed=items[""] + run["unfinished"] + run["unsent"],
    )
