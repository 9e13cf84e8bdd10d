"""One candidate: a server with its settings, and the rate at which it keeps the latency."""

import time
from collections.abc import Mapping

from intently_build.evaluation.server_process import ServerProblem
from intently_build.steps.journal import Journal
from intently_build.tuning.bench import Bench
from intently_build.tuning.candidate import Candidate, Trial
from intently_build.tuning.given import Value, as_flags
from intently_build.tuning.kept import Kept
from intently_build.tuning.servers import Servers
from intently_build.tuning.target import Slo

# Of admission, while settings of the engine are compared: wide enough that it refuses nothing that keeps the latency.
_WIDE: Mapping[str, Value] = {"max_running": 1024, "max_in_flight": 4096}
_LEAST_WAIT_S = 0.8
_WAIT = 4  # times the latency


class Trying:
    """Measures candidates, each unless it was measured before.

    Args:
      servers, bench: what is measured, and by what.
      slo: the latency to be kept.
      given: settings that all have.
      first_rate: where the search for the first rate begins; None leaves it to the generator.
      kept: the results.
      journal: is told of each.
    """

    def __init__(
        self,
        servers: Servers,
        bench: Bench,
        slo: Slo,
        given: Mapping[str, Value],
        first_rate: float | None,
        kept: Kept,
        journal: Journal,
    ) -> None:
        self._servers = servers
        self._bench = bench
        self._slo = slo
        self._given = given
        self._first_rate = first_rate
        self._kept = kept
        self._journal = journal

    def was_measured(self, candidate: Candidate, to_beat: float | None) -> bool:
        """Whether `measure` knows it already, and takes no time. Raises BuildError if it cannot be read."""
        return self._kept.load(candidate, to_beat) is not None

    def measure(self, candidate: Candidate, to_beat: float | None) -> Trial:
        """Returns what was found, now or before. Raises BuildError if the generator was the limit."""
        trial = self._kept.load(candidate, to_beat)
        if trial is not None:
            self._journal.say(f"{candidate}: {self._words(trial)}, measured before")
            return trial
        started = time.monotonic()
        with self._journal.console.status(f"measuring {candidate}"):
            try:
                trial = self._measure(candidate, to_beat)
                self._kept.save(trial)
            except ServerProblem as error:
                trial = Trial(candidate, None, to_beat, reason=str(error))
        self._journal.say(f"{candidate}: {self._words(trial)} ({time.monotonic() - started:.0f} s)")
        return trial

    def keeps(self, candidate: Candidate, rate: float) -> bool:
        """Whether a candidate keeps the latency at a rate now. Raises BuildError."""
        with (
            self._journal.console.status(f"measuring {candidate} once more"),
            self._servers.serving(self._flags(candidate)) as server,
        ):
            [step] = self._bench.at(server.address, rate)
        return step.keeps(self._slo)

    def _measure(self, candidate: Candidate, to_beat: float | None) -> Trial:
        with self._servers.serving(self._flags(candidate)) as server:
            if to_beat is not None:
                [step] = self._bench.at(server.address, to_beat)
                if not step.keeps(self._slo):
                    return Trial(candidate, None, to_beat, late_s=step.percentile_s)
            return Trial(candidate, self._bench.search(server.address, to_beat or self._first_rate), to_beat)

    def _flags(self, candidate: Candidate) -> list[str]:
        wait_s = max(_LEAST_WAIT_S, _WAIT * self._slo.limit_s)
        return as_flags({**_WIDE, "max_wait": wait_s, **candidate.settings(), **self._given})

    def _words(self, trial: Trial) -> str:
        name = f"p{self._slo.percent}"
        if trial.reason:
            return f"could not be measured: {trial.reason}"
        if trial.found:
            return f"{trial.found.rate:.4g}/s, {name} {trial.found.percentile_s * 1e3:.1f} ms there"
        if trial.to_beat is None:
            return "keeps the latency at no rate"
        late = "" if trial.late_s is None else f", {name} {trial.late_s * 1e3:.1f} ms there"
        return f"does not reach {trial.to_beat:.4g}/s{late}"
