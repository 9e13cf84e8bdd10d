"""A caller's end of one ClassifyStream, message by message."""

from typing import TYPE_CHECKING, Any

import grpc

from intently.v1 import intent_service_pb2 as pb

if TYPE_CHECKING:
    from intently.v1.intent_service_pb2_grpc import IntentServiceAsyncStub


class StreamCaller:
    """Sends and receives on one stream.

    Args:
        intents: Opens it.
        timeout: Seconds until its deadline; None for none.
        metadata: What is sent beside it.
    """

    def __init__(
        self,
        intents: "IntentServiceAsyncStub",
        timeout: float | None = None,
        metadata: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.call: Any = intents.ClassifyStream(timeout=timeout, metadata=metadata)

    async def open(self, **config: Any) -> pb.StreamReady:
        """Sends a StreamConfig of these fields; returns what the server grants."""
        await self.send(pb.ClassifyStreamRequest(config=pb.StreamConfig(**config)))
        return (await self.receive()).ready

    async def send(self, message: pb.ClassifyStreamRequest) -> None:
        """Sends any message."""
        await self.call.write(message)

    async def item(self, request_id: str, text: str = "hello", **fields: Any) -> None:
        """Sends an utterance; the other fields are ClassifyItem's."""
        request = pb.ClassifyRequest(request_id=request_id, text=text)
        await self.send(pb.ClassifyStreamRequest(item=pb.ClassifyItem(request=request, **fields)))

    async def cancel_item(self, request_id: str) -> None:
        """Takes an item back."""
        await self.send(pb.ClassifyStreamRequest(cancel=pb.CancelItem(request_id=request_id)))

    async def reset_context(self) -> None:
        """Forgets the accumulated context."""
        await self.send(pb.ClassifyStreamRequest(reset_context=pb.ResetContext()))

    async def receive(self) -> pb.ClassifyStreamResponse:
        """The next message, which must come."""
        message = await self.call.read()
        assert message is not grpc.aio.EOF, f"the stream has ended: {await self.call.code()}"
        assert isinstance(message, pb.ClassifyStreamResponse)
        return message

    async def rest(self) -> list[pb.ClassifyStreamResponse]:
        """What still comes until the server ends the stream, which must be with OK."""
        messages = []
        while (message := await self.call.read()) is not grpc.aio.EOF:
            messages.append(message)
        assert await self.code() is grpc.StatusCode.OK
        return messages

    async def finish(self) -> list[pb.ClassifyStreamResponse]:
        """Half-closes; returns what still comes."""
        await self.call.done_writing()
        return await self.rest()

    async def code(self) -> grpc.StatusCode:
        """How the stream ended."""
        code: grpc.StatusCode = await self.call.code()
        return code
