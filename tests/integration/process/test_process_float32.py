"""A server with the real engine in float32 gives the probabilities of transformers in float32."""

from collections.abc import Callable

import grpc
import pytest

from intently.v1 import intent_service_pb2 as pb
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently_server.bundle import Bundle
from intently_server.types import Query
from support.paths import CLINC150
from support.reference import Reference, greatest_difference
from support.rows import read_rows
from support.server_process import ServerProcess

pytestmark = pytest.mark.engine

EXACT = 1e-5


async def test_float32(
    exact: ServerProcess, bundle: Bundle, reference: Reference, record_property: Callable[[str, object], None]
) -> None:
    rows = read_rows(CLINC150 / "test.jsonl")[::15] + read_rows(CLINC150 / "oos_test.jsonl")[::25]
    texts = [row["text"] for row in rows]
    requests = [pb.ClassifyRequest(text=text, top_k=len(bundle.model.intents)) for text in texts]

    async with grpc.aio.insecure_channel(exact.address) as channel:
        batch = await IntentServiceStub(channel).BatchClassify(pb.BatchClassifyRequest(requests=requests))

    differences = [
        greatest_difference(result.response, reference.probabilities(Query(text)))
        for result, text in zip(batch.results, texts, strict=True)
    ]
    record_property("greatest_difference", max(differences))
    assert max(differences) <= EXACT
