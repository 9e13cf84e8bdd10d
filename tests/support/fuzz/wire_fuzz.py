"""Lets Hypothesis look for a volley of cases that a server does not bear, and for the shortest of its kind."""

import asyncio
import contextlib
import time
import warnings
from collections import deque
from collections.abc import Callable
from types import TracebackType

import uvloop
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky, HypothesisWarning

from support.fuzz.case import Volley
from support.fuzz.connections import cases
from support.fuzz.findings import FailureFile, Fault, Findings
from support.fuzz.fuzzed_server import FuzzedServer
from support.fuzz.judging import faults_in, is_of_the_client, is_of_the_core, kind_of
from support.fuzz.messages import Words
from support.fuzz.sender import Ending, Sender

VOLLEYS_A_ROUND = 100
_AT_ONCE = 6
_SHRINKS_FOR_S = 60.0
_ALONE = 5  # times
_REMEMBERED = 8
_SETTINGS = settings(
    max_examples=VOLLEYS_A_ROUND,
    deadline=None,
    database=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
    verbosity=Verbosity.quiet,
)


class WireFault(Exception):
    """What Hypothesis sees of a fault."""


class _Over(BaseException):  # no Exception, or Hypothesis would take it for a failure
    """The time is over."""


class WireFuzz:
    """Fuzzes one server. Use it as a context manager; it has an event loop of its own.

    Args:
        server: Runs.
        seed: Of all rounds: the volleys of a round are the same in every run with this seed, as long as no fault comes.
        words: Texts that mean something to the server.
        failures: Keeps what fails.
        tries: How often to try for a shorter volley that brings a fault, of each kind; at most a minute.
        bad_paths: See `header_lists`.
    """

    def __init__(
        self,
        server: FuzzedServer,
        seed: str,
        words: Words,
        failures: FailureFile,
        *,
        tries: int = 1000,
        bad_paths: bool = False,
    ) -> None:
        self._server = server
        self._seed = seed
        self._volleys = st.lists(cases(words, bad_paths=bad_paths), min_size=1, max_size=_AT_ONCE).map(tuple)
        self._failures = failures
        self._tries = tries
        self._tries_left = 0
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._before: deque[Volley] = deque(maxlen=_REMEMBERED)
        self._shrinking: str | None = None  # the kind of fault
        self._until = float("inf")
        self.findings = Findings()

    def __enter__(self) -> "WireFuzz":
        self._runner.__enter__()
        self._sender = self._runner.run(self._open())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.run(self._sender.__aexit__(None, None, None))
        self._runner.close()

    def round(self, number: int, until: float = float("inf")) -> None:
        """Runs one round, which a fault ends, once the shortest volley was looked for that brings it.

        Args:
            number: Which.
            until: When to end it, in seconds of the monotonic clock, but for that search.
        """
        self._shrinking, self._until = None, until
        attempt = seed(f"{self._seed} {number}")(_SETTINGS(given(self._volleys)(self._attempt_of_round())))
        with warnings.catch_warnings(), contextlib.suppress(WireFault, Flaky, _Over):
            warnings.simplefilter("ignore", HypothesisWarning)  # that a failing volley is long: it is kept in a file
            attempt()
        if self._shrinking is not None and self._tries:
            self._try_alone(self.findings.faults[self._shrinking])

    def send(self, volley: Volley) -> list[list[Ending]]:
        """Sends a volley as it is; returns how each of its cases ended."""
        return self._runner.run(self._sender.send(volley))

    def _try_alone(self, fault: Fault) -> None:
        """Tries each case alone: of what comes only sometimes, Hypothesis keeps the first volley that brings it."""
        self._until, self._tries_left = time.monotonic() + _SHRINKS_FOR_S, _ALONE * len(fault.volley)
        for case in fault.volley if len(fault.volley) > 1 else ():
            with contextlib.suppress(WireFault, _Over):
                for _ in range(_ALONE):
                    self._attempt((case,))

    def _attempt_of_round(self) -> Callable[[Volley], None]:
        def attempt(volley: Volley) -> None:
            self._attempt(volley)

        return attempt

    def _attempt(self, volley: Volley) -> None:
        if time.monotonic() > self._until or (self._shrinking is not None and not self._tries_left):
            raise _Over
        self._tries_left -= self._shrinking is not None
        try:
            endings = self.send(volley)
        except Exception as error:  # kept too: a run of hours shall not end with it
            endings = [[Ending(f"FUZZ FAILED {type(error).__name__}", str(error))] for _ in volley]
        found = [fault for case, ends in zip(volley, endings, strict=True) for fault in faults_in(case, ends)]
        found += [f"logged: {line}" for line in self._server.new_errors()]
        if (death := self._server.died()) is not None:
            found.append(f"died: {death}")
        if self._shrinking is None:
            self._count(volley, endings)
        for fault in found:
            self._look_at(Fault(fault, volley))
        self._before.append(volley)

    def _count(self, volley: Volley, endings: list[list[Ending]]) -> None:
        self.findings.volleys += 1
        for case, ends in zip(volley, endings, strict=True):
            self.findings.cases[case.kind.value] += 1
            for each in ends:
                if is_of_the_client(case, each):
                    self.findings.of_the_client += 1
                    continue
                if is_of_the_core(case, each):
                    self.findings.of_the_core[f"{each.what}: {kind_of(each.details)}"] += 1
                name = case.path.rpartition("/")[2] or case.kind.value
                self.findings.statuses[f"{name} {each.what}"] += 1

    def _look_at(self, fault: Fault) -> None:
        """Keeps it if it is new, or shorter than what is kept; tells Hypothesis of it if it is what it looks for."""
        kind = kind_of(fault.what)
        known = self.findings.faults.get(kind)
        self.findings.times[kind] += 1
        if known is None or fault.size < known.size:
            self.findings.faults[kind] = fault
            self._failures.keep(fault, () if known else tuple(self._before))
        if known is None and self._shrinking is None:
            self._shrinking, self._until = kind, time.monotonic() + _SHRINKS_FOR_S
            self._tries_left = self._tries
        if self._shrinking == kind:
            raise WireFault(kind)

    async def _open(self) -> Sender:
        return Sender(self._server.process.address)
