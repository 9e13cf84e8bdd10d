"""One classification from end to end: what is refused costs nothing, and times say where they were spent."""

import asyncio
import threading
from collections import Counter

import pytest
from tokenizers import Tokenizer

from intently_server.admission import Admission, Bounds
from intently_server.bundle import Bundle
from intently_server.classifier import Classifier
from intently_server.errors import DeadlineUnmeetable, InvalidInput, Overloaded
from intently_server.prompt import EncodedPrompt, PromptEncoder
from intently_server.types import Caller, Query, Stages
from intently_server.validation import QueryLimits, QueryValidator
from support.memory_engine import MemoryEngine


class Clock:
    """Seconds that pass by one at each reading."""

    def __init__(self, now: float = 100.0) -> None:
        self.now = now

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture
async def engine(bundle: Bundle) -> MemoryEngine:
    return MemoryEngine(bundle.model.labels, {})


@pytest.fixture
def admission() -> Admission:
    return Admission(Bounds(2))


@pytest.fixture
def classifier(bundle: Bundle, engine: MemoryEngine, admission: Admission) -> Classifier:
    model = bundle.model
    validator = QueryValidator(model.intents, QueryLimits(1_000_000, 16), model.revision, [])
    return Classifier(model, validator, admission, bundle.encoder, engine, default_top_k=5, clock=Clock())


async def test_times_are_of_the_clock(classifier: Classifier) -> None:
    answer = await classifier.classify(Query("wake me"), Caller(), Stages(98.0))

    # Read when admitted, tokenized, started and inferred, a second apart; three seconds passed before the first.
    assert (answer.timing.queue_s, answer.timing.tokenize_s, answer.timing.inference_s) == (4.0, 1.0, 1.0)


async def test_a_deadline_that_has_passed_costs_nothing(classifier: Classifier, engine: MemoryEngine) -> None:
    with pytest.raises(DeadlineUnmeetable):
        await classifier.classify(Query("wake me"), Caller(deadline=99.0), Stages(98.0))

    assert engine.prompts == []


async def test_what_is_wrong_is_refused_before_a_place_is_taken(
    classifier: Classifier, engine: MemoryEngine, admission: Admission
) -> None:
    engine.hold()
    holding = [asyncio.ensure_future(classifier.classify(Query("wake me"), Caller(), Stages(0.0))) for _ in range(2)]
    await engine.wait_running(2)

    with pytest.raises(InvalidInput):
        await classifier.classify(Query(""), Caller(), Stages(0.0))
    with pytest.raises(Overloaded):
        await classifier.classify(Query("wake me"), Caller(), Stages(0.0))

    engine.release()
    await asyncio.gather(*holding)
    assert admission.load().in_flight == 0
    assert len(engine.prompts) == 2


@pytest.mark.parametrize("text", ["wake me", "wake me up at seven " * 30, "wake me up at seven " * 3_000])
async def test_whatever_happens_the_place_is_given_back(
    classifier: Classifier, engine: MemoryEngine, admission: Admission, text: str
) -> None:
    """Long texts are tokenized in a thread, and too long ones refused there."""
    engine.hold()
    calling = asyncio.ensure_future(classifier.classify(Query(text), Caller(), Stages(0.0)))
    done, _ = await asyncio.wait([calling], timeout=0.2)

    if not done:
        assert admission.load().in_flight == 1
        calling.cancel()
    [outcome] = await asyncio.gather(calling, return_exceptions=True)

    assert isinstance(outcome, asyncio.CancelledError | InvalidInput)
    assert admission.load().in_flight == 0


async def test_a_fault_of_the_engine_is_passed_on_and_gives_the_place_back(
    classifier: Classifier, engine: MemoryEngine, admission: Admission
) -> None:
    engine.fault = RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        await classifier.classify(Query("wake me"), Caller(), Stages(0.0))

    assert admission.load().in_flight == 0


class Watched(PromptEncoder):
    """The real encoder; keeps by which thread how many characters were tokenized."""

    def __init__(self, bundle: Bundle) -> None:
        tokenizer = Tokenizer.from_file(str(bundle.path / "tokenizer.json"))
        super().__init__(tokenizer, bundle.model.prompt, bundle.model.limits)
        self.by_thread: Counter[int] = Counter()

    def encode_query(self, query: Query) -> EncodedPrompt:
        self.by_thread[threading.get_ident()] += len(query.text)
        return super().encode_query(query)


@pytest.mark.parametrize(("count", "chars"), [(1, 5_000), (200, 500), (50, 1_990)])
async def test_one_pass_of_the_loop_tokenizes_little_however_much_comes_at_once(
    bundle: Bundle, engine: MemoryEngine, count: int, chars: int
) -> None:
    encoder, model = Watched(bundle), bundle.model
    validator = QueryValidator(model.intents, QueryLimits(1_000_000, 16), model.revision, [])
    classifier = Classifier(model, validator, Admission(Bounds(1000)), encoder, engine, default_top_k=5)
    query = Query("wake " * (chars // 5), allow_truncation=True)

    await asyncio.gather(*(classifier.classify(query, Caller(), Stages(0.0)) for _ in range(count)))

    assert sum(encoder.by_thread.values()) == count * chars
    assert encoder.by_thread[threading.get_ident()] <= 2_000


async def test_short_texts_need_no_thread(bundle: Bundle, engine: MemoryEngine) -> None:
    encoder, model = Watched(bundle), bundle.model
    validator = QueryValidator(model.intents, QueryLimits(1_000_000, 16), model.revision, [])
    classifier = Classifier(model, validator, Admission(Bounds(10)), encoder, engine, default_top_k=5)

    for _ in range(500):
        await classifier.classify(Query("wake me up"), Caller(), Stages(0.0))

    assert set(encoder.by_thread) == {threading.get_ident()}
