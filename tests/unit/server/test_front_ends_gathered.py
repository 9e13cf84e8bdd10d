"""What the first process shows of its front ends: all together, those that hang or are gone too."""

import asyncio
import gc
import itertools
import pickle
import weakref
from collections.abc import Sequence
from pathlib import Path

import pytest

from intently_server.admin import StatusReport
from intently_server.admin.page import page
from intently_server.admission import AdmissionLoad
from intently_server.bundle import Bundle
from intently_server.engine.base import EngineLoad
from intently_server.engine.engine_figures import EngineFigures
from intently_server.front_ends.gathered import Gathered
from intently_server.front_ends.gathered_vitals import GatheredVitals
from intently_server.front_ends.told import Told
from intently_server.lifecycle import Phase
from intently_server.parts import Parts
from intently_server.servicer.stream import StreamAges
from intently_server.settings import Settings
from intently_server.telemetry.figures import UNARY, Figures
from support.admin_caller import Metrics

CPU = "intently_server_front_end_cpu_time_seconds_total"
LOAD = AdmissionLoad(in_flight=3, running=2, queued=1, queued_tokens=200, requests_per_s=None, refused=0)


class OneFrontEnd:
    """A front end of this process: tells what a test says, if it answers."""

    def __init__(self, place: int, bundle: Bundle) -> None:
        self.place = place
        self.pid = 1000 + place
        self.told: Told | None = None
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.figures = Figures(bundle.model)
        self.phase = Phase.SERVING
        self.engine = EngineLoad(0, 0, 0.0)
        self.load = LOAD
        self.engine_figures: dict[int, EngineFigures] = {}
        self.hangs = False
        self.asked = 0
        self._answer: asyncio.Future[Told] | None = None

    def ask(self) -> "asyncio.Future[Told]":
        """As the process does that it stands for: what was asked before is answered first."""
        if self._answer is None or self._answer.done():
            self._answer = asyncio.get_running_loop().create_future()
            self.asked += 1
        if not self.hangs:
            told = Told(self.figures, self.engine_figures, self.phase, 2, self.load, self.engine, 100 << 20, 1.5)
            self.told = pickle.loads(pickle.dumps(told))  # noqa: S301  # our own
            self._answer.set_result(self.told)
        return self._answer

    def serve(self, calls: int) -> None:
        """Answers calls."""
        for _ in range(calls):
            self.figures.ended(UNARY, 0.01, "OK", "", None, 1000.0, None)

    def die(self) -> None:
        """Ends like one that is killed."""
        self.hangs = True
        self.ended.set_result(-9)


@pytest.fixture
def gathered(bundle: Bundle, bundle_path: Path) -> Gathered:
    """Of two front ends, which are not there yet."""
    return Gathered(Settings(bundle=bundle_path, front_ends=2, admin_address="127.0.0.1:0"), bundle.model)


@pytest.fixture
async def pair(gathered: Gathered, bundle: Bundle) -> Sequence[OneFrontEnd]:
    """Both of them."""
    both = [OneFrontEnd(place, bundle) for place in range(2)]
    for each in both:
        gathered.watch(each)
    return both


def seen(gathered: Gathered) -> Metrics:
    """What Prometheus reads."""
    assert gathered.telemetry.exposition is not None
    return Metrics(gathered.telemetry.exposition.write("")[0].decode())


async def test_counts_and_loads_are_sums(gathered: Gathered, pair: Sequence[OneFrontEnd]) -> None:
    pair[0].serve(3)
    pair[1].serve(4)
    pair[1].load = AdmissionLoad(1, 1, 0, 0, 250.0, 0)
    pair[1].figures.streams = 2
    await gathered.refresh()

    shown = seen(gathered)
    assert shown.sum("intently_server_calls_total") == 7
    assert shown.sum("rpc_server_call_duration_seconds_count") == 7
    assert shown.sum("intently_server_active_requests") == 4
    assert shown.sum("intently_server_queued_tokens") == 200
    assert shown.sum("intently_server_active_calls") == 4
    assert shown.sum("intently_server_active_streams") == 2
    assert shown.sum("intently_server_capacity_per_second") == 250.0
    assert len([name for name in shown.families if name.endswith("_info")]) == len({"target", "python", "server"})
    assert shown.sum("intently_server_info") == 1


async def test_of_those_that_died_without_a_word_nothing_is_kept(gathered: Gathered, bundle: Bundle) -> None:
    """A bad bundle on disk brings about one each minute, for as long as nobody looks."""
    silent = OneFrontEnd(0, bundle)
    gathered.watch(silent)
    silent.die()
    await gathered.refresh()
    kept = weakref.ref(silent)
    del silent
    gc.collect()
    assert kept() is None


async def test_the_engine_tells_one_of_them_at_a_time(gathered: Gathered, pair: Sequence[OneFrontEnd]) -> None:
    for each, told_at, running in ((pair[0], 5.0, 9), (pair[1], 7.0, 2)):
        each.engine = EngineLoad(running, 0, told_at)
        figures = each.engine_figures[0] = EngineFigures()
        figures.told_at, figures.running, figures.prompt_tokens = told_at, running, 100
    await gathered.refresh()

    shown = seen(gathered)
    assert shown.sum("intently_engine_running_requests") == 2
    assert shown.sum("vllm:num_requests_running") == 2
    assert shown.sum("vllm:prompt_tokens_total") == 200


async def test_each_has_measured_the_whole_engine_if_the_others_were_idle(pair: Sequence[OneFrontEnd]) -> None:
    seconds = itertools.count()
    vitals = GatheredVitals(2, 1000, lambda: float(next(seconds)))
    for rates in ((200.0, None), (201.0, None), *[(202.0, rate) for rate in (150.0, 180.0, 190.0, 195.0)]):
        for each, rate in zip(pair, rates, strict=True):
            each.load = AdmissionLoad(1, 1, 0, 0, rate, 0)
            each.ask()
        vitals.take(pair, [], set(pair))

    assert vitals.requests().requests_per_s == 195.0


async def test_who_has_no_engine_yet_hides_nothing(
    gathered: Gathered, pair: Sequence[OneFrontEnd], bundle: Bundle, bundle_path: Path
) -> None:
    starting = Parts.of(Settings(bundle=bundle_path, front_ends=2), bundle, StreamAges())
    pair[0].engine = EngineLoad(9, 5, 7.0)
    pair[1].engine = starting.vitals.engine()
    await gathered.refresh()

    shown = seen(gathered)
    assert shown.sum("intently_engine_running_requests") == 9
    assert shown.sum("intently_engine_waiting_requests") == 5


async def test_what_the_dead_have_told_is_counted_for_ever(
    gathered: Gathered, pair: Sequence[OneFrontEnd], bundle: Bundle
) -> None:
    pair[0].serve(3)
    pair[1].serve(4)
    pair[1].figures.streams = 1
    await gathered.refresh()
    before = seen(gathered)
    pair[1].die()
    pair[0].serve(1)
    await gathered.refresh()
    after = seen(gathered)
    rows = gathered.telemetry.vitals.front_ends()

    successor = OneFrontEnd(1, bundle)
    successor.phase = Phase.STARTING
    gathered.watch(successor)
    await gathered.refresh()
    meanwhile = seen(gathered)
    successor.phase = Phase.SERVING
    successor.serve(2)
    await gathered.refresh()
    later = seen(gathered)

    assert [(row.place, row.pid, row.answers) for row in rows] == [(0, 1000, True), (1, None, False)]
    assert after.sum("intently_server_calls_total") == 8
    assert after.sum("intently_server_active_streams") == 0
    assert [after.sum("intently_server_front_end_up", intently_front_end=place) for place in ("0", "1")] == [1, 0]
    assert after.sum("intently_server_front_end_memory_bytes") == 100 << 20
    assert later.sum("intently_server_calls_total") == 10
    assert [shown.sum("intently_server_front_end_up") for shown in (after, meanwhile, later)] == [1, 1, 2]
    cpu = [shown.sum(CPU, intently_front_end="1") for shown in (before, after, meanwhile, later)]
    assert cpu == [1.5, 1.5, 3.0, 3.0]


async def test_how_the_engine_stands_the_living_say_and_what_it_did_the_dead_too(
    gathered: Gathered, pair: Sequence[OneFrontEnd]
) -> None:
    for each, told_at, running in ((pair[0], 5.0, 0), (pair[1], 7.0, 9)):
        each.engine = EngineLoad(running, 0, told_at)
        figures = each.engine_figures[0] = EngineFigures()
        figures.told_at, figures.running, figures.prompt_tokens, figures.cache_usage = (
            told_at,
            running,
            100,
            running / 10,
        )
    await gathered.refresh()
    before = seen(gathered)
    pair[1].die()
    await gathered.refresh()
    one_died = seen(gathered)
    pair[0].die()
    await gathered.refresh()
    all_died = seen(gathered)

    for name in ("intently_engine_running_requests", "vllm:num_requests_running"):
        assert [shown.sum(name) for shown in (before, one_died, all_died)] == [9, 0, 0]
    assert [shown.sum("vllm:kv_cache_usage_perc") for shown in (before, one_died, all_died)] == [0.9, 0, 0]
    assert [shown.sum("vllm:prompt_tokens_total") for shown in (before, one_died, all_died)] == [200] * 3


async def test_one_that_hangs_is_shown_as_it_was_and_waited_for_once(
    gathered: Gathered, pair: Sequence[OneFrontEnd]
) -> None:
    pair[1].serve(4)
    await gathered.refresh()
    pair[1].hangs = True
    for _ in range(150):  # each of which would wait for half a second
        pair[0].serve(1)
        await gathered.refresh()

    assert seen(gathered).sum("intently_server_calls_total") == 154
    assert [row.answers for row in gathered.telemetry.vitals.front_ends()] == [True, False]
    assert pair[1].asked == 2

    pair[1].hangs = False
    await gathered.refresh()
    assert [row.answers for row in gathered.telemetry.vitals.front_ends()] == [True, True]


S, V, L, D, P, X = Phase
H = "it hangs"
Stand = Phase | str | None  # None is gone
LIVES: list[tuple[list[tuple[Stand, Stand]], Phase]] = [
    ([], S),
    ([(S, S)], S),
    ([(V, S)], S),
    ([(V, V)], V),
    ([(V, V), (V, None)], V),
    ([(V, V), (V, None), (V, S)], V),
    ([(V, V), (None, None)], S),
    ([(V, V), (None, None), (S, S), (V, S)], V),
    ([(V, V), (H, V)], V),
    ([(V, V), (H, H)], S),
    ([(V, V), (H, None), (H, S)], S),
    ([(V, V), (H, H), (V, H)], V),
    ([(V, V), (L, L), (H, H)], L),
    ([(V, V), (L, V)], L),
    ([(V, V), (L, L), (D, L)], D),
    ([(V, V), (D, D), (None, D)], D),
    ([(V, V), (D, D), (None, None)], P),
    ([(V, V), (X, V)], X),
    ([(V, V), (X, V), (None, V)], X),
    ([(V, V), (X, X), (None, None)], X),
]


@pytest.mark.parametrize(("life", "phase"), LIVES)
async def test_where_the_server_stands(
    gathered: Gathered, bundle: Bundle, life: list[tuple[Stand, Stand]], phase: Phase
) -> None:
    places: list[OneFrontEnd | None] = [None, None]
    for stand in life:
        for place, (one, wanted) in enumerate(zip(places, stand, strict=True)):
            if wanted is None:
                if one is not None:
                    one.die()
                places[place] = None
            else:
                if one is None:
                    one = places[place] = OneFrontEnd(place, bundle)
                    gathered.watch(one)
                one.hangs = not isinstance(wanted, Phase)
                one.phase = wanted if isinstance(wanted, Phase) else one.phase
        await gathered.refresh()

    assert gathered.telemetry.vitals.phase is phase


async def test_the_status_has_a_table_of_them(
    gathered: Gathered, pair: Sequence[OneFrontEnd], bundle: Bundle, bundle_path: Path
) -> None:
    pair[1].die()
    await gathered.refresh()
    settings = Settings(bundle=bundle_path, front_ends=2)

    status = StatusReport(gathered.telemetry, bundle.model, settings, "127.0.0.1:1").read()
    assert status["front_ends"] == [
        {
            "front_end": 0,
            "pid": 1000,
            "phase": "serving",
            "answers": True,
            "calls": 2,
            "requests_in_flight": 3,
            "memory_mib": 100.0,
        },
        {
            "front_end": 1,
            "pid": None,
            "phase": None,
            "answers": False,
            "calls": 0,
            "requests_in_flight": 0,
            "memory_mib": None,
        },
    ]
    assert "<h2>Front ends</h2>" in page(status, metrics=True)
