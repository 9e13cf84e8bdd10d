"""One stream by the contract alone: whoever keeps it, nobody reopens it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from intently.bench.plan import Plan
from intently.bench.tally import OK, Answer
from intently.bench.targets.grpc_calls import outcome_name
from intently.bench.targets.traffic import failure
from intently.errors import IntentlyError, from_rpc_error, from_status
from intently.v1 import intent_service_pb2 as pb


class RawStream:
    """See `ItemStream`.

    Args:
        ask: Items in flight to ask for; 0 leaves it to the server.
    """

    def __init__(self, channel: grpc.aio.Channel, plan: Plan, ask: int) -> None:
        self._method = channel.stream_stream(
            "/intently.v1.IntentService/ClassifyStream",
            request_serializer=pb.ClassifyStreamRequest.SerializeToString,
            response_deserializer=pb.ClassifyStreamResponse.FromString,
        )
        self._plan = plan
        self._ask = ask
        self._places = asyncio.Semaphore(0)
        self._writing = asyncio.Lock()
        self._call: Any = None

    async def open(self) -> None:
        """See `ItemStream`."""
        self._call = self._method(metadata=self._plan.call_metadata())
        config = pb.StreamConfig(max_in_flight=self._ask, ordered=self._plan.ordered)
        await self._write(pb.ClassifyStreamRequest(config=config))
        try:
            first = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        if first is grpc.aio.EOF:
            raise ended()
        self._places = asyncio.Semaphore(first.ready.max_in_flight)

    async def send(self, request_id: str, text: str) -> None:
        """See `ItemStream`."""
        await self._places.acquire()
        item = pb.ClassifyItem(request=pb.ClassifyRequest(request_id=request_id, text=text))
        try:
            async with self._writing:
                await self._write(pb.ClassifyStreamRequest(item=item))
        except IntentlyError:
            self._places.release()
            raise

    async def answers(self) -> AsyncIterator[tuple[str, Answer]]:
        """See `ItemStream`."""
        try:
            while (message := await self._call.read()) is not grpc.aio.EOF:
                if message.HasField("response"):
                    outcomes = (outcome_name(message.response),)
                    yield message.response.request_id, Answer(ok=True, items=(((OK, ""), 1),), outcomes=outcomes)
                elif message.HasField("error"):
                    yield message.error.request_id, failure(from_status(message.error.status))
                if not message.HasField("drain"):
                    self._places.release()
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        finally:
            self._places.release()  # whoever waits for a place finds that the stream has ended

    async def finish(self) -> None:
        """See `ItemStream`."""
        await self._call.done_writing()

    async def close(self) -> None:
        """See `ItemStream`."""
        self._call.cancel()

    async def _write(self, message: pb.ClassifyStreamRequest) -> None:
        try:
            await self._call.write(message)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        except asyncio.InvalidStateError:
            raise ended() from None


def ended() -> IntentlyError:
    """The error of what is sent to a stream that has ended, or was not answered before."""
    return IntentlyError(grpc.StatusCode.UNAVAILABLE, "the stream has ended", reason="STREAM_ENDED")
