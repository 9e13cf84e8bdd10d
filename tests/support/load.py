"""Runs `intently bench` as people do, and reads what it measured."""

import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_CONCURRENCIES = (8, 16, 32, 64, 128)
_MORE = 1.05  # times the goodput must come of twice the concurrency, or the server is saturated
_EXTRA_S = 90.0  # for its processes to start and its last calls to end
_SEARCH_S = 600.0
_ENDLESS_S = 24 * 3600.0
_POLL_S = 0.02
_SECOND = re.compile(rb"^second \d", re.MULTILINE)  # of its progress, once the warm-up is over
_OFFERED = 0.98  # share of what was to be sent that must have been, beyond what chance takes


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run of `intently bench` measured. Latencies are in seconds, from when a send was due.

    Attributes:
        sent_per_s: Sends a second.
        asked_per_s: Those that an open loop was to send; None for a closed loop.
        by_chance: Three standard deviations of `sent_per_s`, where arrivals are by chance.
        goodput: Utterances answered a second.
        p50: Median latency of answers.
        p99: Their 99th percentile.
        by_status: Utterances by status, and reason where one was given.
        sent: Sends.
        limits: Why the generator was the limit; empty if it was not.
        report: All of its JSON.
    """

    sent_per_s: float
    asked_per_s: float | None
    by_chance: float
    goodput: float
    p50: float
    p99: float
    by_status: dict[str, int]
    sent: int
    limits: tuple[str, ...]
    report: dict[str, Any]

    @property
    def refused_share(self) -> float:
        """Share of the utterances that were not answered."""
        total = sum(self.by_status.values())
        return 1 - self.by_status.get("OK", 0) / total if total else 0.0

    @property
    def failures(self) -> dict[str, int]:
        """How many that were sent got no good answer, or two, by what came of them: utterances, or sends without one.

        A run that is stopped waits for what is under way until its timeout: what is unfinished then has failed.
        """
        failed = {status: number for status, number in self.by_status.items() if status != "OK"}
        failed["no answer"] = max(self.report["unfinished"], self.report["lost"])  # an item that is lost is in both
        failed["answered twice"] = self.report["answered_twice"]
        failed |= {f"{each['name']} {each['fault']}": 1 for each in self.report["processes"] if each["fault"]}
        return {what: number for what, number in failed.items() if number}

    @property
    def offered(self) -> bool:
        """Whether what was to be sent was sent."""
        return self.asked_per_s is None or self.sent_per_s >= _OFFERED * self.asked_per_s - self.by_chance

    def brief(self) -> dict[str, Any]:
        """What people read of it; latencies in milliseconds."""
        return {
            "sent_per_s": round(self.sent_per_s, 1),
            "asked_per_s": self.asked_per_s,
            "goodput": round(self.goodput, 1),
            "p50_ms": round(self.p50 * 1e3, 1),
            "p99_ms": round(self.p99 * 1e3, 1),
            "by_status": self.by_status,
            "unsent": self.report["unsent"],
            "unfinished": self.report["unfinished"],
            "limited_by_generator": list(self.limits),
        }


class Load:
    """One run, begun.

    Args:
        address: HOST:PORT of the server.
        duration_s: How long it measures; None until it is stopped.
        flags: Of `intently bench`.
    """

    def __init__(self, address: str, duration_s: float | None, flags: Sequence[str]) -> None:
        seconds = _ENDLESS_S if duration_s is None else duration_s
        self._timeout_s = seconds + _EXTRA_S
        command = [sys.executable, "-m", "intently.bench", "--address", address, "--duration", f"{seconds:g}s"]
        command += ["--json", "-", "--progress", "lines", "--allow-limited", *flags]
        # A pipe that nobody reads would hold up a long run.
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the result
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._said, text=True)

    def wait_begun(self) -> None:
        """Returns once it has measured for about a second.

        Raises:
            RuntimeError: if it ends before; the text is what it said.
        """
        while not _SECOND.search(self._errors()):
            if self._process.poll() is not None:
                raise RuntimeError(self._errors().decode(errors="replace"))
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """Lets it send nothing more; what it measured so far is its result."""
        self._timeout_s = _EXTRA_S
        self._process.terminate()

    def result(self) -> Measured:
        """Waits for its end.

        Raises:
            RuntimeError: if it measured nothing.
        """
        try:
            output, _ = self._process.communicate(timeout=self._timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise
        with self._said:
            if not output:
                raise RuntimeError(self._errors().decode(errors="replace"))
        return _measured(json.loads(output))

    def _errors(self) -> bytes:
        """What it has said. It writes where the file's one position is, so that must stay where it is."""
        file = self._said.fileno()
        return os.pread(file, os.fstat(file).st_size, 0)


def generate(address: str, duration_s: float, *flags: str) -> Measured:
    """Runs `intently bench` to its end. Arguments and errors are those of `Load` and `Load.result`."""
    return Load(address, duration_s, flags).result()


def saturate(address: str, seconds: float, *flags: str) -> dict[int, Measured]:
    """Closed loops of growing concurrency, by concurrency, until more of it brings no more goodput.

    Args:
        address: HOST:PORT of the server.
        seconds: How long each is measured.
        flags: Of `intently bench`, beside those.
    """
    runs: dict[int, Measured] = {}
    best = 0.0
    for concurrency in _CONCURRENCIES:
        runs[concurrency] = generate(
            address, seconds, "--concurrency", str(concurrency), "--timeout", "10s", "--warm-up", "1s", *flags
        )
        if runs[concurrency].goodput < _MORE * best:
            break
        best = runs[concurrency].goodput
    return runs


def sustainable_rate(runs: Mapping[int, Measured]) -> float:
    """The best goodput of those runs, in utterances a second."""
    return max(run.goodput for run in runs.values())


def rate_within(address: str, slo: str, *flags: str) -> float:
    """The highest rate of an open loop of calls, in sends a second, at which a latency is kept; what fails is late.

    Args:
        address: HOST:PORT of the server.
        slo: As `intently bench --slo` takes it.
        flags: Of `intently bench`.

    Raises:
        RuntimeError: if there is none; the text is what it said.
    """
    command = [sys.executable, "-m", "intently.bench", "--address", address, "--slo", slo, "--allow-limited"]
    command += ["--json", "-", "--progress", "off", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SEARCH_S, check=False)
    found = json.loads(done.stdout)["found"] if done.stdout else []
    if not found or not found[0]["rate"]:
        raise RuntimeError(done.stderr)
    return float(min(found[0]["rate"], found[0]["sent_per_s"]))


def verdict_of(runs: Iterable[Measured]) -> dict[str, bool]:
    """Whether what these runs measured tells of the server, rather than of the generator."""
    runs = list(runs)
    return {
        "generator_was_not_the_limit": not any(run.limits for run in runs),
        "all_was_offered": all(run.offered for run in runs),
    }


def _measured(report: dict[str, Any]) -> Measured:
    total, asked = report["total"], report["options"]["rate"]
    poisson = asked is not None and report["options"]["arrivals"] == "poisson" and report["window_s"]
    return Measured(
        sent_per_s=report["sent_per_s"],
        asked_per_s=asked,
        by_chance=3 * math.sqrt(asked / report["window_s"]) if poisson else 0.0,
        goodput=report["answered_per_s"],
        p50=total["latency"]["p50"],
        p99=total["latency"]["p99"],
        by_status={
            " ".join(filter(None, (each["status"], each["reason"]))): each["utterances"] for each in total["by_status"]
        },
        sent=total["sent"],
        limits=tuple(report["limits"]),
        report=report,
    )
