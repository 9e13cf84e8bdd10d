"""Answers of the real engine through gRPC: those of transformers, as accurate as the manifest says, prefix cached."""

import asyncio
from collections.abc import Callable

import pytest

from intently.v1 import intent_service_pb2 as pb
from intently_server.bundle import Bundle
from intently_server.types import Query, Role, Turn
from support.kept_engine import Real
from support.paths import CLINC150
from support.reference import Reference, greatest_difference
from support.rows import read_rows

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="session")]

Record = Callable[[str, object], None]
BATCH = 125
REDUCED = 2e-2  # what arithmetic in bfloat16 may differ by
CACHED_BLOCK = 32  # tokens of a block of the KV cache on a CPU


async def classify_all(real: Real, texts: list[str], top_k: int) -> list[pb.ClassifyResponse]:
    """All answers in order, asked for in batches, several under way at once."""
    requests = [pb.ClassifyRequest(text=text, top_k=top_k) for text in texts]
    batches = [requests[at : at + BATCH] for at in range(0, len(requests), BATCH)]
    answers = await asyncio.gather(
        *(real.served.intents.BatchClassify(pb.BatchClassifyRequest(requests=batch)) for batch in batches[:4]),
    )
    for batch in batches[4:]:
        answers.append(await real.served.intents.BatchClassify(pb.BatchClassifyRequest(requests=batch)))
    results = [result for answer in answers for result in answer.results]
    assert all(result.HasField("response") for result in results)
    return [result.response for result in results]


async def test_accuracy_is_what_the_manifest_says(real: Real, bundle: Bundle, record_property: Record) -> None:
    rows = read_rows(CLINC150 / "test.jsonl")
    [evaluation] = [e for e in bundle.manifest.evaluations if (e.dataset, e.split) == ("clinc150", "test")]
    assert evaluation.in_scope_rows == len(rows)

    answers = await classify_all(real, [row["text"] for row in rows], top_k=1)

    right = sum(answer.predictions[0].intent == row["intent"] for answer, row in zip(answers, rows, strict=True))
    accuracy = right / len(rows)
    record_property("accuracy", accuracy)
    assert accuracy == pytest.approx(evaluation.accuracy, abs=0.002)


async def test_probabilities_are_those_of_transformers(
    real: Real, bundle: Bundle, reference: Reference, record_property: Record
) -> None:
    rows = read_rows(CLINC150 / "test.jsonl")[::15] + read_rows(CLINC150 / "oos_test.jsonl")[::25]
    texts = [row["text"] for row in rows]
    answers = await classify_all(real, texts, top_k=len(bundle.model.intents))

    differences = [
        greatest_difference(answer, reference.probabilities(Query(text)))
        for answer, text in zip(answers, texts, strict=True)
    ]
    record_property("greatest_difference", max(differences))
    assert max(differences) <= REDUCED


async def test_the_prefix_is_cached(real: Real, bundle: Bundle) -> None:
    assert bundle.encoder.prefix_tokens > CACHED_BLOCK

    first = await real.served.intents.Classify(pb.ClassifyRequest(text="one utterance"))
    second = await real.served.intents.Classify(pb.ClassifyRequest(text="quite another one"))

    # The warm-up has run by now, so that even the first call finds the prefix.
    for answer in (first, second):
        assert bundle.encoder.prefix_tokens - CACHED_BLOCK < answer.cached_tokens <= bundle.encoder.prefix_tokens
        assert answer.cached_tokens < answer.input_tokens


async def test_a_prompt_longer_than_a_step_is_prefilled_in_chunks(
    real: Real, bundle: Bundle, reference: Reference
) -> None:
    said, text = [f"I said that number {number} was not the one" * 3 for number in range(15)], "what is my balance"
    request = pb.ClassifyRequest(
        text=text,
        context=[pb.Turn(role=pb.ROLE_USER, text=each) for each in said],
        allow_truncation=True,
        top_k=len(bundle.model.intents),
    )
    query = Query(text, context=tuple(Turn(Role.USER, each) for each in said), allow_truncation=True)

    answer = await real.served.intents.Classify(request)

    assert answer.input_tokens - answer.cached_tokens > real.step_tokens
    assert greatest_difference(answer, reference.probabilities(query)) <= REDUCED


async def test_two_at_once_do_not_mix(real: Real) -> None:
    texts = ["what is my balance", "wake me at seven", "book a table for two", "tell me a joke"] * 10

    alone = [await real.served.intents.Classify(pb.ClassifyRequest(text=text)) for text in texts[:4]]
    together = await asyncio.gather(*(real.served.intents.Classify(pb.ClassifyRequest(text=text)) for text in texts))

    for at, answer in enumerate(together):
        assert answer.predictions[0].intent == alone[at % 4].predictions[0].intent
        assert answer.predictions[0].confidence == pytest.approx(alone[at % 4].predictions[0].confidence, abs=REDUCED)
