"""What a process and those below it use, sampled while something else goes on."""

import contextlib
import math
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import psutil

_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Sample:
    """One look.

    Attributes:
        at_s: Seconds since the first.
        rss: Resident memory in bytes, of all processes.
        fds: Open file descriptors.
        threads: Threads.
        stolen_s: Seconds of all processors that this machine wanted and its host gave to others, since its start.
    """

    at_s: float
    rss: int
    fds: int
    threads: int
    stolen_s: float


class Usage:
    """Samples.

    Args:
        pid: The process; None to sample nothing.
        every_s: Seconds between two samples.
    """

    def __init__(self, pid: int | None, every_s: float) -> None:
        self._pid = pid
        self._every_s = every_s
        self._begun = time.monotonic()
        self.samples: list[Sample] = []

    @contextlib.contextmanager
    def sampled(self) -> Iterator[None]:
        """Samples until the block ends."""
        over = threading.Event()
        sampler = threading.Thread(target=self._sample, args=(over,))
        self._begun = time.monotonic()
        sampler.start()
        try:
            yield
        finally:
            over.set()
            sampler.join()

    def rss_mib(self) -> dict[str, float]:
        """First, greatest and last resident memory, in MiB; nothing if nothing was sampled."""
        if not self.samples:
            return {}
        rss = [sample.rss / _MIB for sample in self.samples]
        return {"first": round(rss[0], 1), "most": round(max(rss), 1), "last": round(rss[-1], 1)}

    def growth(self, after_s: float, until_s: float = math.inf) -> float:
        """How much resident memory grew between these times, by a straight line through the samples.

        As a share of what it was; 0.0 for fewer than three samples.
        """
        later = [sample for sample in self.samples if after_s <= sample.at_s < until_s]
        if len(later) < 3:
            return 0.0
        at, rss = np.array([sample.at_s for sample in later]), np.array([float(sample.rss) for sample in later])
        slope, at_zero = np.polyfit(at - at[0], rss, 1)
        return float(slope * (at[-1] - at[0]) / at_zero)

    def _sample(self, over: threading.Event) -> None:
        while self._pid is not None:
            with contextlib.suppress(psutil.Error):
                self.samples.append(self._look(psutil.Process(self._pid)))
            if over.wait(self._every_s):
                return

    def _look(self, process: psutil.Process) -> Sample:
        rss = fds = threads = 0
        for each in (process, *process.children(recursive=True)):
            rss += each.memory_info().rss
            fds += each.num_fds()
            threads += each.num_threads()
        return Sample(time.monotonic() - self._begun, rss, fds, threads, psutil.cpu_times().steal)
