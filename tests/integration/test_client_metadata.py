"""What the client sends beside a call, as a server sees it: its deadline, and the revision that a proxy routes by."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from intently import IntentClient
from intently.client import DEFAULT_TIMEOUT_S
from intently.v1 import intent_service_pb2 as pb

PINNED, OTHER = "a" * 64, "b" * 64
CALLS: dict[str, Callable[[IntentClient], Awaitable[object]]] = {
    "Classify": lambda client: client.classify("hello"),
    "BatchClassify": lambda client: client.classify_batch(["hello"]),
    "ListModels": lambda client: client.list_models(),
    "ListIntents": lambda client: client.list_intents("models/a"),
}


@dataclass(frozen=True, slots=True)
class Seen:
    """One call, as it arrived."""

    method: str
    remaining_s: float | None
    metadata: dict[str, str | bytes]


@dataclass(slots=True)
class Recorder(grpc.GenericRpcHandler):
    """Answers every unary method, and keeps what came with the call."""

    seen: list[Seen] = field(default_factory=list)

    def service(self, handler_call_details: Any) -> Any:
        """See grpc."""
        method = handler_call_details.method.rpartition("/")[2]

        async def answer(_request: bytes, context: Any) -> bytes:
            self.seen.append(Seen(method, context.time_remaining(), dict(context.invocation_metadata())))
            return (
                pb.ClassifyResponse(outcome=pb.OUTCOME_AMBIGUOUS).SerializeToString() if method == "Classify" else b""
            )

        return grpc.unary_unary_rpc_method_handler(answer)


@contextlib.asynccontextmanager
async def recorded(recorder: Recorder) -> AsyncIterator[IntentClient]:
    """A client of a server that records."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((recorder,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with IntentClient(f"127.0.0.1:{port}") as client:
            yield client
    finally:
        await server.stop(0)


@pytest.mark.parametrize("method", CALLS)
async def test_every_call_has_a_deadline_by_default(method: str) -> None:
    recorder = Recorder()
    async with recorded(recorder) as client:
        await CALLS[method](client)

    [seen] = recorder.seen
    assert seen.method == method
    assert seen.remaining_s is not None
    assert 0 < seen.remaining_s < DEFAULT_TIMEOUT_S + 1  # gRPC rounds it up on the wire


@pytest.mark.parametrize(
    ("revisions", "sent"),
    [
        ([PINNED, PINNED], PINNED),
        ([PINNED, OTHER], None),
        ([PINNED, None], None),
        ([None, None], None),
        ([], None),
    ],
)
async def test_a_batch_is_sent_where_all_of_its_requests_want_to_go(
    revisions: list[str | None], sent: str | None
) -> None:
    requests = [
        pb.ClassifyRequest(text="hello", model=None if revision is None else pb.ModelSelector(revision=revision))
        for revision in revisions
    ]
    recorder = Recorder()
    async with recorded(recorder) as client:
        await client.classify_batch(requests)

    [seen] = recorder.seen
    assert seen.metadata.get("x-intently-revision") == sent
