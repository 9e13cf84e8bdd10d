"""The asyncio client: one channel, deadlines by default, retries where they are safe, typed answers and errors."""

import json
from collections.abc import Awaitable, Sequence
from types import TracebackType
from typing import TypeVar

import grpc

from intently.answers import Classification, Turn
from intently.errors import IntentlyError, from_rpc_error, from_status
from intently.v1 import (
    bundle_pb2,
    intent_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
)
from intently.v1 import intent_service_pb2 as pb

DEFAULT_TIMEOUT_S = 10.0
REVISION_METADATA = "x-intently-revision"
_PAGE_SIZE = 1000

# All methods are free of side effects. UNAVAILABLE alone is retried: whoever is full says so to be left alone.
_SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [{"service": "intently.v1.IntentService"}, {"service": "intently.v1.ModelService"}],
            "retryPolicy": {
                "maxAttempts": 3,
                "initialBackoff": "0.05s",
                "maxBackoff": "1s",
                "backoffMultiplier": 3,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}

T = TypeVar("T")


class IntentClient:
    """Calls an Intently server. Use it as an async context manager, one for the life of the program.

    Args:
        address: HOST:PORT, or any target that gRPC resolves. Without TLS.
        timeout_s: Deadline of each call, in seconds, where the call gives none.

    Every method raises an `IntentlyError` for a call that fails.
    """

    def __init__(self, address: str, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self.address = address
        self._timeout_s = timeout_s
        self._channel = grpc.aio.insecure_channel(
            address,
            options=[
                ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 1_000),  # a server that comes back is soon found
                ("grpc.keepalive_time_ms", 10_000),
                ("grpc.keepalive_timeout_ms", 5_000),
            ],
        )
        self._intents = intent_service_pb2_grpc.IntentServiceStub(self._channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)

    async def __aenter__(self) -> "IntentClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the channel; calls under way are cancelled."""
        await self._channel.close()

    def _timeout(self, timeout_s: float | None) -> float:
        return self._timeout_s if timeout_s is None else timeout_s

    async def classify(
        self,
        text: str,
        *,
        context: Sequence[Turn] = (),
        candidate_intents: Sequence[str] = (),
        top_k: int | None = None,
        min_confidence: float | None = None,
        allow_truncation: bool = False,
        language_code: str = "",
        revision: str | None = None,
        label: str | None = None,
        request_id: str = "",
        timeout_s: float | None = None,
    ) -> Classification:
        """Returns the intent of one utterance.

        Args:
            text: The utterance.
            context: The turns before it, oldest first.
            candidate_intents: The only intents that make sense here; empty for all.
            top_k: Predictions to return at most; None leaves it to the server.
            min_confidence: Predictions below it are left out, 0 to 1.
            allow_truncation: Whether too long an input may be cut.
            language_code: BCP-47, a hint for monitoring.
            revision: The model's revision that must answer.
            label: The label of the model that must answer; not together with `revision`.
            request_id: Echoed in the answer.
            timeout_s: Deadline of this call, in seconds.

        Raises:
            ValueError: if both `revision` and `label` are given.
            IntentlyError: if the call fails.
        """
        if revision is not None and label is not None:
            raise ValueError("select the model by revision or by label, not by both")
        request = pb.ClassifyRequest(
            request_id=request_id,
            text=text,
            context=[pb.Turn(role=turn.role.value, text=turn.text) for turn in context],
            language_code=language_code,
            candidate_intents=candidate_intents,
            top_k=top_k,
            min_confidence=min_confidence,
            allow_truncation=allow_truncation,
            model=None if revision is None and label is None else pb.ModelSelector(revision=revision, label=label),
        )
        metadata = () if revision is None else ((REVISION_METADATA, revision),)
        call = self._intents.Classify(request, timeout=self._timeout(timeout_s), metadata=metadata)
        return Classification.from_message(await _answered(call))

    async def classify_batch(
        self, requests: Sequence[str | pb.ClassifyRequest], *, timeout_s: float | None = None
    ) -> list[Classification | IntentlyError]:
        """Classifies several utterances in one call.

        Args:
            requests: Texts, or whole requests where more than the text matters.
            timeout_s: Deadline of the call, in seconds.

        Returns:
            For each request, in order, its answer, or the error that it alone met.
        """
        batch = pb.BatchClassifyRequest(
            requests=[pb.ClassifyRequest(text=each) if isinstance(each, str) else each for each in requests]
        )
        response = await _answered(self._intents.BatchClassify(batch, timeout=self._timeout(timeout_s)))
        return [
            from_status(result.error) if result.HasField("error") else Classification.from_message(result.response)
            for result in response.results
        ]

    async def list_models(self, *, timeout_s: float | None = None) -> list[model_service_pb2.Model]:
        """The models served there, by name."""
        models: list[model_service_pb2.Model] = []
        more = model_service_pb2.ListModelsRequest(page_size=_PAGE_SIZE)
        while True:
            page = await _answered(self._models.ListModels(more, timeout=self._timeout(timeout_s)))
            models += page.models
            if not page.next_page_token:
                return models
            more.page_token = page.next_page_token

    async def list_intents(self, model: str, *, timeout_s: float | None = None) -> list[bundle_pb2.Intent]:
        """All intents of a model, which is named as in `Model.name`: "models/" and the bundle's name."""
        intents: list[bundle_pb2.Intent] = []
        more = model_service_pb2.ListIntentsRequest(parent=model, page_size=_PAGE_SIZE)
        while True:
            page = await _answered(self._models.ListIntents(more, timeout=self._timeout(timeout_s)))
            intents += page.intents
            if not page.next_page_token:
                return intents
            more.page_token = page.next_page_token


async def _answered(call: Awaitable[T]) -> T:
    """The response of a call.

    Raises:
        IntentlyError: in place of gRPC's own error.
    """
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from error
